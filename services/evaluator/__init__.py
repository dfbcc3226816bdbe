"""The judge: measures a conversation, scores the seller's technique, and says the same again from a recording."""
