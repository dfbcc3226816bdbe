"""The `cascade` engine: listener -> coach -> humanizer -> text-to-speech, streaming, on CPU."""
