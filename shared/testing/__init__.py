"""Test doubles and real servers for tests, shipped so that users can test their own parts the same way."""
