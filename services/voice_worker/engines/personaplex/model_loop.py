"""The model thread: one tick per 80 ms for all slots. Nothing else touches the model, and it touches no event loop.

A tick begins when every talking slot has a frame, or when it is due. Commands come as calls that run between ticks.
"""

from __future__ import annotations

import gc
import logging
import queue
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from services.voice_worker.engines.personaplex import metrics
from services.voice_worker.engines.personaplex.inputs import SlotInput
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.priming import NO_HISTORY, Prompt
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.pacing import Pacer
from services.voice_worker.engines.personaplex.primer import Primer
from services.voice_worker.engines.personaplex.slot import Conversation, FrameOut, Phase
from services.voice_worker.engines.personaplex.tokens import Codes

log = logging.getLogger(__name__)

IDLE_WAIT_S: Final = 0.5

Command = Callable[[], None]
T = TypeVar("T")


@dataclass(slots=True)
class Seat:
    """A session's place in the batch. `on_frames` and `on_state` are called on the model thread.

    `on_state`: "ready" when primed, "restarted" with the reason when it had to be primed again.
    """

    talk: Conversation
    prompt: Prompt
    sampling: Sampling
    on_frames: Callable[[list[FrameOut]], None]
    on_state: Callable[[str, str], None]
    told_ready: bool = False


class ModelLoop:
    """Makes a batch and runs it, all on a thread of its own. `on_failure(reason)` is called once if the model fails."""

    def __init__(
        self,
        make_batch: Callable[[], Batch],
        on_failure: Callable[[str], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self.batch: Batch
        self.primer: Primer
        self.loaded: Future[None] = Future()
        self._make_batch = make_batch
        self._now = now
        self._on_failure = on_failure
        self._pacer = Pacer(now())
        self._seats: dict[int, Seat] = {}
        self._commands: queue.SimpleQueue[Command] = queue.SimpleQueue()
        self._stopping = False
        self._failed = False
        self._thread = threading.Thread(target=self._run, name="personaplex", daemon=True)

    @property
    def accepting(self) -> bool:
        """False while ticks overrun, and after the model failed: admit nobody."""
        return self._pacer.accepting and not self._failed

    @property
    def failed(self) -> bool:
        """True after the model failed; nothing runs any more."""
        return self._failed

    def start(self) -> None:
        """Start the thread. `loaded` tells when the batch is made and warm, or why it could not be made."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the tick that runs, and wait for it."""
        self._stopping = True
        self.post(lambda: None)
        if self._thread.is_alive():
            self._thread.join()

    def post(self, command: Command) -> None:
        """Have `command` called on the model thread before its next tick. From any thread."""
        self._commands.put(command)

    def call(self, work: Callable[[], T]) -> Future[T]:
        """Have `work` called on the model thread and return its result later. From any thread."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work())
            except Exception as error:
                future.set_exception(error)

        self.post(run)
        return future

    # --- on the model thread

    def sit(self, seat: Seat, history: Codes = NO_HISTORY) -> None:
        """Give a session its slot and begin to prime it."""
        self._seats[seat.talk.slot] = seat
        seat.talk.remember(history)
        self.primer.start(seat.talk, seat.prompt, seat.sampling, history)

    def leave(self, seat: Seat) -> None:
        """The session is over: its slot is free, and empty."""
        if self._seats.get(seat.talk.slot) is seat:
            del self._seats[seat.talk.slot]
            self.primer.forget(seat.talk)
            self.batch.clear(seat.talk.slot)
        seat.talk.close()

    def _run(self) -> None:
        try:
            self.batch = self._make_batch()
            self.primer = Primer(self.batch)
            self.batch.warm_up()
            # What torch, the model and their imports are made of is so many objects (290,000 with the tiny model) that
            # one full collection takes longer than a tick.
            gc.collect()
            gc.freeze()
        except BaseException as error:
            self._failed = True
            self.loaded.set_exception(error)
            return
        self.loaded.set_result(None)
        try:
            while not self._stopping:
                self._wait()
                self._turn()
        except Exception as error:
            self._failed = True
            log.exception("the model failed; its sessions end")
            self._on_failure(f"{type(error).__name__}: {error}")

    def _wait(self) -> None:
        """Obey commands until a tick is due, all talking slots have a frame, or only prefill is left to do."""
        while not self._stopping:
            self._obey()
            timeout_s = self._idle_for()
            if timeout_s <= 0:
                return
            with suppress(queue.Empty):
                self._commands.get(timeout=timeout_s)()

    def _idle_for(self) -> float:
        """Return how long nothing has to be done unless a command comes; 0: tick now."""
        talks = [seat.talk for seat in self._seats.values()]
        active = [talk for talk in talks if talk.phase in (Phase.LIVE, Phase.BOUNDARY)]
        now_s = self._now()
        if not active:
            self._pacer.idle(now_s)
            return 0.0 if self.primer.busy else IDLE_WAIT_S
        if any(talk.phase is Phase.BOUNDARY for talk in active):
            return 0.0
        if any(talk.backlog for talk in active) and not any(talk.waits_for_input for talk in active):
            return 0.0
        return self._pacer.remaining_s(now_s)

    def _obey(self) -> None:
        with suppress(queue.Empty):
            while True:
                self._commands.get_nowait()()

    def _turn(self) -> None:
        """One tick, the extra ticks that fit for slots whose frames wait, and a piece of prefill."""
        began_s = self._now()
        overdue = self._pacer.remaining_s(began_s) == 0
        inputs = {slot: given for slot, seat in self._seats.items() if (given := seat.talk.next_input(overdue))}
        if inputs:
            self._tick(inputs)
        self._hand_out()
        self.primer.work()
        self._look_after()
        if inputs or overdue:
            if self._pacer.ticked(began_s, self._now()):
                metrics.DEADLINE_MISSES.inc()
            metrics.ACCEPTING.set(self._pacer.accepting)
        self._catch_up()
        self._count()

    def _tick(self, inputs: dict[int, SlotInput]) -> None:
        with metrics.STEP_SECONDS.time():
            outputs = self.batch.tick(inputs)
        for slot, output in outputs.items():
            self._seats[slot].talk.take(output)

    def _catch_up(self) -> None:
        """Run extra ticks for slots with frames that wait, as long as they end before the next tick is due.

        One frame that came while the tick ran counts, too: it would wait for the next tick, and so would each that
        follows it, for as long as the call lasts.
        """
        while self._pacer.has_room(self._now()):
            self._obey()
            behind = [seat for seat in self._seats.values() if seat.talk.backlog]
            inputs = {seat.talk.slot: given for seat in behind if (given := seat.talk.next_input(False))}
            if not inputs:
                return
            metrics.CATCH_UP_TICKS.inc()
            self._tick(inputs)
            self._hand_out()

    def _hand_out(self) -> None:
        for seat in self._seats.values():
            if seat.talk.phase is Phase.LIVE and not seat.told_ready:
                seat.told_ready = True
                seat.on_state("ready", "")
            frames = seat.talk.collect()
            if frames:
                seat.on_frames(frames)

    def _look_after(self) -> None:
        """Rebuild what runs full, the fullest first, and restart what went wrong."""
        generator = self.batch.generator
        for seat in sorted(self._seats.values(), key=lambda seat: -generator.position(seat.talk.slot)):
            if seat.talk.phase is not Phase.LIVE:
                continue
            if seat.talk.trouble is not None:
                reason = seat.talk.trouble
                metrics.RESTARTS.labels(reason).inc()
                self.primer.start(seat.talk, seat.prompt, seat.sampling, seat.talk.restart())
                seat.on_state("restarted", reason)
            else:
                self.primer.refresh(seat.talk, seat.prompt)

    def _count(self) -> None:
        talks = [seat.talk for seat in self._seats.values()]
        metrics.DEFICIT.set(max((talk.backlog for talk in talks), default=0))
        for phase in (Phase.PRIMING, Phase.BOUNDARY, Phase.LIVE):
            metrics.SLOTS.labels(phase.value).set(sum(talk.phase is phase for talk in talks))
        metrics.SLOTS.labels("free").set(self.batch.slots - len(talks))
