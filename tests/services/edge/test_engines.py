"""Which engine a session gets."""

from __future__ import annotations

import pytest

from services.edge.engines import (
    CATALOGUE,
    Capacity,
    candidates,
    check_offered,
    describe,
    language_for,
    preferred,
    stand_ins,
)
from shared.errors import BadInput

OFFERED = ("cascade", "personaplex", "echo")


def test_without_a_wish_all_that_fit_are_tried_in_order() -> None:
    assert [engine.id for engine in candidates("", None, OFFERED)] == list(OFFERED)
    assert [engine.id for engine in candidates("", "nl", OFFERED)] == ["cascade", "echo"]


def test_a_wish_is_the_only_candidate() -> None:
    assert [engine.id for engine in candidates("personaplex", "en", OFFERED)] == ["personaplex"]


@pytest.mark.parametrize("asked", ["nothing", "openai_realtime"])
def test_engines_not_on_offer_are_refused_with_the_list(asked: str) -> None:
    with pytest.raises(BadInput, match="cascade, personaplex, echo"):
        candidates(asked, None, OFFERED)


def test_an_engine_that_does_not_speak_the_language_is_refused() -> None:
    with pytest.raises(BadInput, match="speaks en"):
        candidates("personaplex", "nl", OFFERED)


def test_the_language_is_the_wanted_the_default_or_the_engine_s() -> None:
    assert language_for(CATALOGUE["echo"], "en", "nl") == "en"
    assert language_for(CATALOGUE["echo"], None, "nl") == "nl"
    assert language_for(CATALOGUE["personaplex"], None, "nl") == "en"


def test_who_stands_in_for_a_lost_engine() -> None:
    offered = ("personaplex", "cascade", "echo")
    assert [engine.id for engine in stand_ins(("cascade",), "en", offered)] == ["personaplex", "cascade"]
    assert [engine.id for engine in stand_ins(("echo",), "nl", offered)] == ["cascade", "echo"]


def test_the_engine_that_a_session_belongs_to() -> None:
    offered = ("echo", "personaplex", "cascade")
    assert preferred("echo", "en", offered) == "echo"
    assert preferred("", "en", offered) == "personaplex"
    assert preferred("", "nl", offered) == "cascade"
    assert preferred("", "nl", ("echo",)) == ""


def test_capabilities() -> None:
    assert describe(CATALOGUE["echo"], Capacity(4, 3)) == {
        "id": "echo",
        "languages": ["nl", "en"],
        "duplex": "full",
        "available": True,
        "slots": 4,
        "free": 1,
    }
    assert describe(CATALOGUE["echo"], Capacity(4, 5))["available"] is False
    assert describe(CATALOGUE["echo"], None)["available"] is False


@pytest.mark.parametrize("names", [(), ("cascade", "mouth")])
def test_unknown_names_in_the_settings(names: tuple[str, ...]) -> None:
    with pytest.raises(BadInput, match="engines are"):
        check_offered(names)
