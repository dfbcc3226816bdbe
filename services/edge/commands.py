"""What a client may command by metadata: the JSON of kind 4. Pure."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, TypeAdapter, ValidationError
from pydantic.alias_generators import to_camel

from shared.errors import BadInput
from shared.events import Consent

MAX_COMMAND_BYTES = 8 * 1024


class ConsentCommand(BaseModel):
    """Metadata from the client: `{"type": "consent", "storeAudio": true}`. Switches left out stay as they are."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, alias_generator=to_camel, validate_by_name=True, validate_by_alias=True
    )
    type: Literal["consent"]
    store_audio: StrictBool | None = None
    store_transcript: StrictBool | None = None
    emotion: StrictBool | None = None

    def over(self, consent: Consent) -> Consent:
        """Return `consent` with these switches changed."""
        return Consent(
            store_audio=consent.store_audio if self.store_audio is None else self.store_audio,
            store_transcript=consent.store_transcript if self.store_transcript is None else self.store_transcript,
            emotion=consent.emotion if self.emotion is None else self.emotion,
        )


class EndCommand(BaseModel):
    """Metadata from the client: `{"type": "end"}`. The conversation is over; the scorecard may still come."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["end"]


class EngineCommand(BaseModel):
    """Metadata from the client: `{"type": "engine", "engine": "cascade"}`. Go on with this voice engine."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    type: Literal["engine"]
    engine: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]


Command = ConsentCommand | EndCommand | EngineCommand

_COMMANDS: TypeAdapter[Command] = TypeAdapter(Annotated[Command, Field(discriminator="type")])


def read_command(data: bytes) -> Command:
    """Return the command in a message's payload. Raises BadInput that names the field."""
    if len(data) > MAX_COMMAND_BYTES:
        raise BadInput("long_command", f"metadata has at most {MAX_COMMAND_BYTES} bytes")
    try:
        return _COMMANDS.validate_json(data)
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(step) for step in first["loc"]) or "JSON"
        text = f"metadata is not a known command: {where}: {first['msg']}"
        raise BadInput("bad_command", text[:500]) from error
