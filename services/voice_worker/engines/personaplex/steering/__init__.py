"""The coach's words and the model's own: what is forced when, what was said, and what went wrong."""
