"""The coach: hears the seller's turns, thinks, and tells the voice what to say and how."""
