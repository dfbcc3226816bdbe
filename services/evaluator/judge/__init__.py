"""A language model as second judge of finished sessions: the rules come first, and stand wherever it fails."""
