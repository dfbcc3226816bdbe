"""Written dialogues with labels: read, judged turn by turn as a session is, and compared with their labels. Pure."""
