"""What the user says and how: audio in, turns, transcript and prosody out. One listener per session."""
