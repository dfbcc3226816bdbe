"""Speech-to-text, text-to-speech and end-of-turn: interfaces, providers, and the clients of the model hosts."""
