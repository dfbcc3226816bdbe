"""One conversation in a slot: what goes into the model in each tick and what comes out. Pure: no torch, no clock.

Keeps the rule of one frame out for each frame in, through late frames, floods, restarts and prefill. Called on
the model thread only.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.inputs import SlotInput, SlotOutput
from services.voice_worker.engines.personaplex.steering.guards import LoopGuard, RepetitionWindow, SilenceGuard
from services.voice_worker.engines.personaplex.steering.script import Forcing, Script
from services.voice_worker.engines.personaplex.steering.script_player import Dropped, ScriptPlayer
from services.voice_worker.engines.personaplex.steering.words import WordAssembler
from services.voice_worker.engines.personaplex.tokens import AGENT, N_STREAMS, PAD, SILENCE, USER, Codes

Pcm = NDArray[np.float32]
Mode = Literal["free", "guided", "scripted"]
"""Who decides the words: the model; the coach when it has something to say; the coach alone."""

INBOX_FRAMES: Final = 125
"""Frames that may wait for the model (10 s). Beyond that the oldest is answered with silence and not heard."""

GRACE_TICKS: Final = 1
"""Ticks that a late frame is waited for before the model hears silence in its place."""

STALL_FRAMES: Final = 12
"""Frames of silence in place of late ones (1 s). A longer stall stops the conversation's clock."""

HISTORY_FRAMES: Final = 1_125
"""Frames of true codes that are kept (90 s), to prime the slot again."""

QUIET_RMS: Final = 0.006
"""Sound below this (-44 dB re full scale) is silence to the ear."""

QUIET_FRAMES: Final = 2
CALM_FRAMES: Final = 4


class Phase(Enum):
    """Where a slot is: its prompt is prefilled, its boundary step is due, it talks, or it is over."""

    PRIMING = "priming"
    BOUNDARY = "boundary"
    LIVE = "live"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class FrameOut:
    """One frame for the client. `pcm` [1920], None: silence. `consumed` is the entry that it answers.

    `words` begin in it; `quiet`: no sound and no word; `began` and `ended` name scripts, `goes_on`: one has more to
    say after it; `dropped` is what an interruption cut off. `heard_text` and `pause` are what a recogniser made of the
    user's frame (-1: nothing); `unplayed` are its tokens of silence that the model heard before this frame and that
    were answered to nobody.
    """

    pcm: Pcm | None
    consumed: str = ""
    words: tuple[str, ...] = ()
    quiet: bool = True
    began: str | None = None
    ended: str | None = None
    goes_on: bool = False
    dropped: Dropped | None = None
    heard_text: int = -1
    pause: float = 0.0
    unplayed: tuple[int, ...] = ()


@dataclass(slots=True)
class SlotCounts:
    """What went wrong with frames: late (silence was heard in their place), shed (too many waited), muted."""

    late: int = 0
    shed: int = 0
    muted: int = 0
    restarts: int = 0


@dataclass(slots=True)
class _Said:
    """What the text token chosen last says; it sounds in the frame after."""

    words: list[str] = field(default_factory=list)
    began: str | None = None
    ended: str | None = None
    goes_on: bool = False


class Conversation:
    """What one slot does. The loop asks `next_input`, gives `take`, and hands on what `collect` returns."""

    def __init__(
        self, slot: int, mode: Mode, words: WordAssembler, *, start_frame: int = 0, silence_limit_frames: int = 100
    ) -> None:
        self.slot = slot
        self.phase = Phase.PRIMING
        self.counts = SlotCounts()
        self.trouble: str | None = None
        self.n_frames = start_frame
        self.n_heard = 0
        self._mode = mode
        self._words = words
        self._player = ScriptPlayer(hold_floor=mode == "scripted")
        self._loop_guard = LoopGuard()
        self._silence_guard = SilenceGuard(silence_limit_frames)
        self._recent = RepetitionWindow()
        self._inbox: deque[tuple[Pcm, str]] = deque()
        self._held: deque[FrameOut] = deque()
        self._unplayed: tuple[int, ...] = ()
        self._out: list[FrameOut] = []
        self._history = np.zeros((HISTORY_FRAMES, N_STREAMS), dtype=np.int16)
        self._n_history = 0
        self._said = _Said()
        self._current: str | None = None
        self._forcing = Forcing()
        self._dropped: Dropped | None = None
        self._boundary: tuple[Codes, Codes] | None = None
        self._quiet = self._misses = 0
        self._user_speaks = self._heard_any = self._frozen = self._muted = False

    # --- what the loop asks

    @property
    def waits_for_input(self) -> bool:
        """True if a tick should wait for this slot's next frame: it is live, has begun, and none is there."""
        return self.phase is Phase.LIVE and self._heard_any and not self._frozen and not self._inbox

    @property
    def backlog(self) -> int:
        """Frames that wait."""
        return len(self._inbox)

    @property
    def calm(self) -> bool:
        """True if nobody speaks and nothing is about to be said: the moment to change what nobody should notice."""
        return self._quiet >= CALM_FRAMES and not self._user_speaks and not self._player.active

    @property
    def history(self) -> Codes:
        """The last frames [n, 17], oldest first."""
        n = min(self._n_history, HISTORY_FRAMES)
        start = (self._n_history - n) % HISTORY_FRAMES
        return np.roll(self._history, -start, axis=0)[:n].astype(np.int64) if n else np.empty((0, N_STREAMS), np.int64)

    @property
    def n_history(self) -> int:
        """Frames that the model has lived through."""
        return self._n_history

    def next_input(self, overdue: bool) -> SlotInput | None:
        """Return what the slot does in this tick; None: it stands still. `overdue`: the tick waits no longer."""
        if self.phase is Phase.BOUNDARY:
            assert self._boundary is not None
            agent, user = self._boundary
            self._forcing = self._player.plan(quiet=True)
            return SlotInput(None, self._forcing, user=user, agent=agent, silent=True)
        if self.phase is not Phase.LIVE:
            return None
        if self._inbox:
            pcm, self._current = self._inbox.popleft()
            self._misses = 0
            self.n_heard += 1
            return self._input(pcm)
        if not (overdue and self._heard_any) or self._frozen:
            return None
        return self._late()

    def take(self, output: SlotOutput) -> None:
        """Take in what the model made of `next_input`."""
        said, self._said = self._said, self._follow(output.next_text)
        if not output.finite:
            self.trouble = "not_finite"
        if self.phase is Phase.BOUNDARY:
            self.phase = Phase.LIVE
            self._muted = False
            return
        self._remember(output)
        pcm = output.pcm if output.finite else None
        sounds = pcm is not None and float(np.sqrt(np.mean(pcm**2))) >= QUIET_RMS
        self._quiet = 0 if sounds or output.text != PAD else self._quiet + 1
        frame = FrameOut(
            pcm,
            self._current or "",
            tuple(said.words),
            quiet=self._quiet > 0,
            began=said.began,
            ended=said.ended,
            goes_on=said.goes_on,
            dropped=self._dropped,
            heard_text=output.heard_text,
            pause=output.pause,
            unplayed=self._unplayed,
        )
        self._dropped, self._unplayed = None, ()
        self.n_frames += 1
        (self._held if self._current is None else self._out).append(frame)
        self._guard(output)

    def collect(self) -> list[FrameOut]:
        """Return the frames that are for the client, in order."""
        out, self._out = self._out, []
        return out

    def begin(self, agent: Codes, user: Codes) -> None:
        """The prompt is in: the boundary step is next."""
        self._boundary = (agent, user)
        self.phase = Phase.BOUNDARY

    def restart(self) -> Codes:
        """Fall silent until primed again; returns the history to prime with, without the part that went wrong."""
        keep = max(min(self._n_history, HISTORY_FRAMES) - _FAULTY_FRAMES, 0)
        kept = self.history[:keep]
        self._write_history(kept)
        self.trouble = None
        self.counts.restarts += 1
        self.phase = Phase.PRIMING
        self._muted = True
        self._misses = 0
        self._said = _Said()
        self._words.flush()
        self._loop_guard.reset()
        self._silence_guard.reset()
        self._forget_held()
        self._cut_off(self._player.drop())
        for _, entry_id in self._inbox:
            self._mute(entry_id)
        self._inbox.clear()
        return kept

    # --- what others tell

    def feed(self, pcm: Pcm, entry_id: str) -> None:
        """The user's next frame [1920]."""
        if self.phase is Phase.CLOSED:
            return
        self._heard_any = True
        if self._muted:
            self._mute(entry_id)
            return
        if self._frozen:  # the client was away: what was said to nobody is not played now
            self._frozen = False
            self._forget_held()
        self._misses = 0
        if self._held:
            frame = self._held.popleft()
            self.counts.late += 1
            self._out.append(replace(frame, consumed=entry_id))
            return
        self._inbox.append((pcm, entry_id))
        if len(self._inbox) > INBOX_FRAMES:
            _, oldest = self._inbox.popleft()
            self.counts.shed += 1
            self._out.append(FrameOut(None, oldest))

    def remember(self, history: Codes) -> None:
        """Take over what was said before this process served the session, frames [n, 17]."""
        self._write_history(history[-HISTORY_FRAMES:])

    def say(self, script: Script) -> None:
        """Words of the coach. In `free` mode they are not for the voice."""
        if self._mode != "free":
            self._player.load(script)

    def hold(self) -> None:
        """The user may be interrupting: finish the word and wait."""
        if self._player.interruptible:
            self._player.pause()

    def go_on(self) -> None:
        """It was no interruption."""
        self._player.resume()

    def interrupt(self) -> None:
        """The user takes the floor: what is left of the script is dropped, and told with the next frame.

        Words of the model's own are not cut: it hears the user, and yields by itself.
        """
        if not self._player.interruptible:
            self._player.resume()
            return
        self._cut_off(self._player.drop() or _NOTHING_UNSAID)

    def forget_scripts(self) -> None:
        """What waits to be said is stale."""
        if not self._player.speaking:
            self._player.clear()

    def user_speaks(self, speaks: bool) -> None:
        """The user began to speak, or has ended."""
        self._user_speaks = speaks
        if speaks:
            self._silence_guard.user_speaking()

    def user_turn_over(self) -> None:
        """The user's turn is over: somebody should answer."""
        self._user_speaks = False
        if self._mode != "scripted":
            self._silence_guard.user_turn_over()

    def close(self) -> None:
        """Nothing comes after this."""
        self.phase = Phase.CLOSED
        self._inbox.clear()
        self._held.clear()
        self._out.clear()

    # --- one frame

    def _input(self, pcm: Pcm) -> SlotInput:
        quiet = self._quiet >= QUIET_FRAMES and not self._user_speaks
        self._forcing = self._player.plan(quiet=quiet)
        deaf = self._player.speaking and not self._player.interruptible
        user = np.array(SILENCE) if deaf else None
        return SlotInput(pcm, self._forcing, user=user, recent=self._recent.ids)

    def _late(self) -> SlotInput | None:
        self._misses += 1
        if self._misses <= GRACE_TICKS:
            return None
        if len(self._held) >= STALL_FRAMES:
            self._frozen = True
            return None
        self._current = None
        return self._input(_SILENT)

    def _follow(self, token: int) -> _Said:
        """Take in the text token that was chosen for the next frame."""
        said = _Said()
        is_own = self._forcing == Forcing()
        progress = self._player.advance(token)
        said.began, said.ended, said.goes_on = progress.started, progress.ended, self._player.goes_on
        finished = self._words.advance(token) if is_own else self._words.flush()
        if finished:
            said.words.append(finished)
        if progress.word:
            said.words.append(progress.word)
        self._recent.advance(token)
        return said

    def _guard(self, output: SlotOutput) -> None:
        looped = None if self._player.active else self._loop_guard.advance(output.text, output.agent.tolist())
        fell_silent = self._silence_guard.advance(self._quiet > 0, output.text)
        trouble = looped or fell_silent
        if trouble is not None and self.trouble is None:
            self.trouble = trouble.reason

    def _remember(self, output: SlotOutput) -> None:
        row = self._history[self._n_history % HISTORY_FRAMES]
        row[0] = output.text
        row[AGENT] = output.agent
        row[USER] = output.user
        self._n_history += 1

    def _write_history(self, frames: Codes) -> None:
        self._history[: len(frames)] = frames
        self._n_history = len(frames)

    def _cut_off(self, dropped: Dropped | None) -> None:
        """Have the next frame tell what was cut off, together with what waits to be told already."""
        if dropped is not None and self._dropped is not None:
            first = self._dropped
            dropped = Dropped(first.said, f"{first.unsaid} {dropped.unsaid}".strip(), first.label)
        self._dropped = dropped or self._dropped

    def _forget_held(self) -> None:
        """Nobody gets the frames that were made ahead; what they tell of an interruption is told later."""
        told, self._dropped = [*(frame.dropped for frame in self._held), self._dropped], None
        for frame in self._held:
            self._unplayed += (*frame.unplayed, frame.heard_text)
        self._held.clear()
        for dropped in told:
            self._cut_off(dropped)

    def _mute(self, entry_id: str) -> None:
        self.counts.muted += 1
        self._out.append(FrameOut(None, entry_id, dropped=self._dropped))
        self._dropped = None


_FAULTY_FRAMES = 125
"""What a restart forgets (10 s): a loop in the history would be taken up again."""

_NOTHING_UNSAID = Dropped("", "", "")

_SILENT: Pcm = np.zeros(1_920, dtype=np.float32)
