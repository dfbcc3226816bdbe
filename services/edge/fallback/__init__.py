"""Keeps a running session with a voice: another engine where one is lost, text only where none has a place."""
