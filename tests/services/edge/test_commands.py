"""Commands of a client: what is taken, and how what is not is named."""

from __future__ import annotations

import pytest

from services.edge.commands import MAX_COMMAND_BYTES, ConsentCommand, EndCommand, EngineCommand, read_command
from shared.errors import BadInput
from shared.events import Consent


def test_each_command_is_read() -> None:
    assert read_command(b'{"type":"end"}') == EndCommand(type="end")
    assert read_command(b'{"type":"engine","engine":"cascade"}') == EngineCommand(type="engine", engine="cascade")
    consent = read_command(b'{"type":"consent","storeTranscript":true}')
    assert isinstance(consent, ConsentCommand)
    assert consent.over(Consent(store_audio=True)) == Consent(store_audio=True, store_transcript=True)


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"{", "JSON"),
        (b'{"type":"engine"}', "engine.engine"),
        (b'{"type":"engine","engine":"../x"}', "engine.engine"),
        (b'{"type":"engine","engine":7}', "engine.engine"),
        (b'{"type":"engine","engine":"echo","now":true}', "engine.now"),
        (b'{"type":"end","now":1}', "end.now"),
        (b"x" * (MAX_COMMAND_BYTES + 1), "8192"),
    ],
)
def test_what_is_no_command_is_named(data: bytes, names: str) -> None:
    with pytest.raises(BadInput, match=names):
        read_command(data)
