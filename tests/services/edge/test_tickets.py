"""One-time tickets on a real Redis."""

from __future__ import annotations

import pytest

from services.edge.auth import Identity
from services.edge.tickets import TICKET_TTL_S, TicketStore
from shared.broker import Broker
from shared.errors import AuthError

ANNA = Identity("anna", 1234)


async def test_a_ticket_works_once(real_broker: Broker) -> None:
    issuing, taking = TicketStore(real_broker.client), TicketStore(real_broker.client)
    ticket = await issuing.issue(ANNA)
    assert await taking.take(ticket) == ANNA
    with pytest.raises(AuthError, match="used already"):
        await taking.take(ticket)


async def test_the_ticket_itself_is_never_stored(real_broker: Broker) -> None:
    ticket = await TicketStore(real_broker.client).issue(ANNA)
    (key,) = await real_broker.client.keys("*")
    assert ticket.encode() not in key + await real_broker.client.get(key)
    assert 0 < await real_broker.client.ttl(key) <= TICKET_TTL_S


async def test_tickets_differ(real_broker: Broker) -> None:
    store = TicketStore(real_broker.client)
    assert len({await store.issue(ANNA) for _ in range(20)}) == 20


@pytest.mark.parametrize("ticket", ["", "x", "a" * 42, "a" * 44, "*" * 43, "a" * 43])
async def test_other_texts_are_refused(real_broker: Broker, ticket: str) -> None:
    with pytest.raises(AuthError):
        await TicketStore(real_broker.client).take(ticket)
