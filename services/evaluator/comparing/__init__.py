"""What two runs over the same recordings say differently. Pure."""
