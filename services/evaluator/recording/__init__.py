"""Recordings: archiving ended sessions, importing others, reading and checking both. No live session comes in here."""
