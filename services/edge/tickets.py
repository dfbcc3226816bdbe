"""One-time tickets in Redis: a browser trades its token for one, and opens its WebSocket with that.

A ticket is 256 random bits; only its SHA-256 is stored, for 30 s. Taking one deletes it in the same step,
so it works once, on any edge.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from typing import Any

from services.edge.auth import Identity
from shared.errors import AuthError
from shared.streams import ticket_key

TICKET_TTL_S = 30

_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class TicketStore:
    """Issues and takes tickets. Raises what Redis raises."""

    def __init__(self, client: Any) -> None:
        self._client = client

    async def issue(self, identity: Identity) -> str:
        """Return a new ticket for this user."""
        ticket = secrets.token_urlsafe(32)
        value = json.dumps({"user": identity.user, "expires_s": identity.expires_s})
        await self._client.set(_key(ticket), value, ex=TICKET_TTL_S, nx=True)
        return ticket

    async def take(self, ticket: str) -> Identity:
        """Return who the ticket was issued to. Raises AuthError if it is unknown, used or too old."""
        if not _FORM.fullmatch(ticket):
            raise AuthError("bad_ticket", "that is no ticket")
        value = await self._client.getdel(_key(ticket))
        if value is None:
            raise AuthError("bad_ticket", f"the ticket was used already or is older than {TICKET_TTL_S} s")
        fields = json.loads(value)
        return Identity(str(fields["user"]), int(fields["expires_s"]))


def _key(ticket: str) -> str:
    return ticket_key(hashlib.sha256(ticket.encode()).hexdigest())
