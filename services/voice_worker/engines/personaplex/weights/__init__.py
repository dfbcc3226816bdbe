"""Where weights come from, whether they are whole, and what fits the card."""
