"""Prefill work between ticks, a bounded piece at a time: prompts into free slots, and slots rebuilt beside their talk.

A new session's prompt goes straight into its own slot, which stands still. A slot whose context runs full is built
anew in the spare state while it talks on; what is said meanwhile follows, and the two are exchanged in a calm moment.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import torch

from services.voice_worker.engines.personaplex import metrics
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.priming import (
    NO_HISTORY,
    Boundary,
    Prompt,
    again_inputs,
    following_inputs,
    start_inputs,
)
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.slot import HISTORY_FRAMES, Conversation, Phase
from services.voice_worker.engines.personaplex.tokens import Codes

PIECE: Final = 128
"""Positions prefilled in one piece."""

FOLLOW: Final = 16
"""Frames by which the spare may be behind a talk that is not calm: one pass for all costs about as much as for one."""

PATIENCE: Final = 60
"""Turns that a rebuilt slot waits for a calm moment (5 s) while another slot's context runs full."""

MAX_VOICES: Final = 16
"""Prefilled voices that are kept; the one that was used longest ago gives way."""

SOFT_SHARE: Final = 0.8
"""Share of the context from which a slot is rebuilt."""

HARD_SHARE: Final = 0.95
"""Share of the context at which it is exchanged, calm or not."""


@dataclass(slots=True)
class _Job:
    """A prompt on its way into a slot or into the spare. `parts` are pieces [n <= PIECE, dim]."""

    talk: Conversation
    prompt: Prompt
    parts: deque[torch.Tensor]
    n_voice: int
    row: Codes | None = None
    boundary: Boundary | None = None
    n_history: int = 0
    waited: int = 0


class Primer:
    """Does its work in `work`, at most about `budget` positions a call. Called on the model thread only."""

    def __init__(self, batch: Batch, budget: int = PIECE) -> None:
        self._batch = batch
        self._generator = batch.generator
        self._budget = budget
        self._waiting: deque[Callable[[], _Job]] = deque()
        self._owners: deque[Conversation] = deque()
        self._job: _Job | None = None
        self._spare: _Job | None = None
        self._others_wait = False
        self._voices: OrderedDict[str, list[torch.Tensor]] = OrderedDict()

    @property
    def busy(self) -> bool:
        """True while there is something to do."""
        return self._job is not None or self._spare is not None or bool(self._waiting)

    def fits(self, prompt: Prompt) -> bool:
        """True if the prompt leaves half of the context for the talk."""
        return prompt.n_frames <= self._generator.context // 2

    def start(self, talk: Conversation, prompt: Prompt, sampling: Sampling, history: Codes = NO_HISTORY) -> None:
        """Prime a slot from nothing: a new session, one from elsewhere, or one that went wrong."""
        self.forget(talk)
        self._batch.clear(talk.slot)
        self._generator.configure(talk.slot, sampling, talk.n_frames)
        self._owners.append(talk)
        self._waiting.append(lambda: self._begin(talk, prompt, self._shortened(prompt, history)))

    def refresh(self, talk: Conversation, prompt: Prompt) -> None:
        """Rebuild the slot of a running talk, if its context runs full and no other slot is being rebuilt."""
        if self._generator.position(talk.slot) < SOFT_SHARE * self._generator.context:
            return
        if self._spare is not None:
            self._others_wait = self._others_wait or self._spare.talk is not talk
            return
        self._others_wait = False
        history = self._shortened(prompt, talk.history)
        inputs = again_inputs(self._generator, prompt, history)
        self._generator.clear_spare()
        self._spare = self._with_voice(_Job(talk, prompt, deque(), self._n_voice(prompt), n_history=talk.n_history))
        self._cut(self._spare, inputs, self._generator.spare_position)

    def forget(self, talk: Conversation) -> None:
        """The talk is over: do nothing more for it."""
        for index, owner in enumerate(self._owners):
            if owner is talk:
                del self._owners[index], self._waiting[index]
                break
        if self._job is not None and self._job.talk is talk:
            self._job = None
        if self._spare is not None and self._spare.talk is talk:
            self._spare = None

    def work(self) -> None:
        """Do the next pieces."""
        budget = self._budget
        while budget > 0 and (self._job is not None or self._waiting):
            if self._job is None:
                self._owners.popleft()
                self._job = self._waiting.popleft()()
            budget -= self._advance(self._job)
        if self._spare is not None and budget > 0:
            self._advance_spare(self._spare)

    # --- into a slot

    def _begin(self, talk: Conversation, prompt: Prompt, history: Codes) -> _Job:
        start = start_inputs(self._generator, prompt, history)
        job = _Job(talk, prompt, deque(), self._n_voice(prompt), start.row, start.boundary)
        kept = self._voice_of(prompt)
        if kept is not None:
            self._generator.put(talk.slot, kept)
        self._cut(job, start.inputs, self._generator.position(talk.slot))
        return job

    def _advance(self, job: _Job) -> int:
        slot = job.talk.slot
        n = 0
        with metrics.PREFILL_SECONDS.time():
            if job.parts:
                n = len(job.parts[0])
                self._generator.prefill(slot, job.parts.popleft())
                self._keep_voice(job)
        if not job.parts:
            assert job.row is not None
            assert job.boundary is not None
            self._generator.set_row(slot, job.row)
            job.talk.begin(job.boundary.agent, job.boundary.user)
            self._job = None
        return max(n, 1)

    # --- into the spare

    def _advance_spare(self, job: _Job) -> None:
        with metrics.PREFILL_SECONDS.time():
            if job.parts:
                self._generator.prefill_spare(job.parts.popleft())
                return
            now = job.talk.phase is Phase.LIVE and self._may_exchange(job)
            behind = job.talk.n_history - job.n_history
            if behind and (now or behind >= FOLLOW):
                recent = job.talk.history[-min(behind + 1, HISTORY_FRAMES) :]
                self._generator.prefill_spare(following_inputs(self._generator, recent[0], recent[1:]))
                job.n_history = job.talk.n_history
            if now:
                self._generator.move_spare(job.talk.slot)
                metrics.REPRIMED.labels("calm" if job.talk.calm else "forced").inc()
                self._spare = None

    def _may_exchange(self, job: _Job) -> bool:
        """True in a calm moment, when the context is nearly full, or when others have waited long for the spare."""
        job.waited += 1
        full = self._generator.position(job.talk.slot) >= HARD_SHARE * self._generator.context
        return job.talk.calm or full or (self._others_wait and job.waited >= PATIENCE)

    # --- voices

    def _with_voice(self, job: _Job) -> _Job:
        kept = self._voice_of(job.prompt)
        if kept is not None:
            self._generator.put_spare(kept)
        return job

    def _cut(self, job: _Job, inputs: torch.Tensor, n_there: int) -> None:
        """Cut the inputs behind what is there already into pieces; the first ends where the voice does."""
        rest = inputs[n_there:]
        n_first = max(job.n_voice - n_there, 0)
        for part in (rest[:n_first], rest[n_first:]):
            job.parts.extend(torch.split(part, PIECE) if len(part) else ())

    def _keep_voice(self, job: _Job) -> None:
        voice = job.prompt.voice
        position = self._generator.position(job.talk.slot)
        if voice is None or position != job.n_voice or voice.name in self._voices:
            return
        self._voices[voice.name] = self._generator.keep(job.talk.slot)
        while len(self._voices) > MAX_VOICES:
            self._voices.popitem(last=False)

    def _voice_of(self, prompt: Prompt) -> list[torch.Tensor] | None:
        if prompt.voice is None or prompt.voice.name not in self._voices:
            return None
        self._voices.move_to_end(prompt.voice.name)
        return self._voices[prompt.voice.name]

    def _n_voice(self, prompt: Prompt) -> int:
        """Positions that the voice alone decides: they are the same for every session that speaks with it."""
        return 0 if prompt.voice is None else prompt.voice.n_frames

    def _shortened(self, prompt: Prompt, history: Codes) -> Codes:
        """Return the end of the history that leaves room to talk on: prompt and history fill at most 60 %."""
        room = max(int(0.6 * self._generator.context) - prompt.n_frames, 0)
        return history[-room:] if room else NO_HISTORY
