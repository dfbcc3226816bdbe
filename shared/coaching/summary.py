"""The talk so far in a few sentences, for a voice that forgets: it is told them when its memory is rebuilt. Pure."""

from __future__ import annotations

from shared.coaching.conversation import Conversation

MAX_QUOTE_CHARS = 160

_PHASES = ("", "opening the call", "finding out what the customer needs", "presenting the solution", "deciding")


def summary(conversation: Conversation) -> str:
    """Return what is known and what was said last, at most about 500 characters; "" in other languages than English.

    The one voice that needs it speaks English only.
    """
    if conversation.language != "en" or not conversation.turns:
        return ""
    parts = ["You are in the middle of a conversation; do not greet again."]
    slots = conversation.slots
    if "product" in slots:
        to = f" to {slots['customer_type']}" if "customer_type" in slots else ""
        parts.append(f"The seller sells {slots['product']}{to}.")
    if conversation.phase:
        parts.append(f"They practise {_PHASES[min(conversation.phase, 4)]}.")
    for speaker, lead in (("user", "The seller said last"), ("hugo", "You said last")):
        said = (line.text for line in reversed(conversation.lines) if line.speaker == speaker and line.text.strip())
        last = next(said, "")
        if last:
            parts.append(f"{lead}: {_short(last)}")
    return " ".join(parts)


def _short(text: str) -> str:
    """Return the end of a text, cut between words, closed by a mark."""
    plain = " ".join(text.split())
    if len(plain) > MAX_QUOTE_CHARS:
        plain = plain[-MAX_QUOTE_CHARS:].partition(" ")[2] or plain[-MAX_QUOTE_CHARS:]
    return plain if plain[-1:] in ".!?" else f"{plain}."
