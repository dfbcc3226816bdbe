"""What goes into a slot in one tick and what comes out, as numbers. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.steering.script import UNFORCED, Forcing
from services.voice_worker.engines.personaplex.tokens import Codes

N_RECENT: Final = 64
"""Text tokens that the repetition penalty looks back on."""


@dataclass(frozen=True, slots=True)
class SlotInput:
    """What one slot does in a tick.

    `pcm` [1920] is the user's sound; None where there is none to hear. `user` [8] are codes in its place (the sound
    is encoded all the same, so that the codec's clock goes on). `agent` [8] are codes to force, -1 leaves one free.
    `recent` [N_RECENT] are text tokens said lately, -1 for none. `silent`: the frame is not for anybody's ears and is
    not decoded.
    """

    pcm: NDArray[np.float32] | None
    forcing: Forcing = UNFORCED
    user: Codes | None = None
    agent: Codes | None = None
    recent: Codes | None = None
    silent: bool = False


@dataclass(frozen=True, slots=True)
class SlotOutput:
    """What came of it: the frame's text token and agent codes [8], the user's codes [8], the sound [1920].

    `next_text` is the text token of the next frame, already chosen. `finite` false: the slot's state is broken.
    `heard_text` is the recogniser's text token, -1 without one; `pause` (0..1) how likely the user has stopped.
    """

    text: int
    agent: Codes
    user: Codes
    pcm: NDArray[np.float32]
    next_text: int
    finite: bool
    heard_text: int = -1
    pause: float = 0.0
