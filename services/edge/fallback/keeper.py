"""Keeps one session with a voice: sees that its request is taken, moves it along the chain of engines, and says so.

Owns the session's request and its epochs, and no socket. All moves run one after the other in `run`.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import Protocol

from services.edge import metrics
from services.edge.commands import EngineCommand
from services.edge.engines import candidates, stand_ins
from services.edge.fallback.seats import Seat, Seats
from services.edge.fallback.silence import SilentVoice
from services.edge.fallback.watch import VoiceWatch
from services.edge.moshi_protocol import Close, CloseCode, ErrorText
from services.edge.records import SessionRecord, SessionRecords
from services.edge.settings import EdgeSettings
from shared.broker import Broker
from shared.broker.connection import TRANSIENT
from shared.clock import raise_if_cancelled
from shared.errors import BadInput
from shared.events import Event, Notice

log = logging.getLogger(__name__)

OFFER_AFTER_S = 15.0
"""How long after its failure an engine is not offered again: a place in its pool says nothing of its health."""

SWITCH_EVERY_S = 5.0
"""A client may change engines once in so long: each change costs a worker a start."""

_MARGIN = 4
"""Epochs left free below a request whose predecessor still lives: for owners that take that one over meanwhile."""


class Client(Protocol):
    """The session as its keeper sees it."""

    @property
    def is_ready(self) -> bool:
        """True once the handshake went out."""
        ...

    @property
    def is_over(self) -> bool:
        """True once the session's end is said."""
        ...

    def notice(self, notice: Notice) -> None:
        """Tell the client and the stream."""
        ...

    def say_error(self, decision: ErrorText) -> None:
        """Tell the client that it asked for something that cannot be."""
        ...

    def refuse(self, close: Close) -> None:
        """End the session with a text."""
        ...


class VoiceKeeper:
    """Serves one session's client from its opening, or its return, to the close of its socket."""

    def __init__(
        self,
        settings: EdgeSettings,
        broker: Broker,
        records: SessionRecords,
        record: SessionRecord,
        client: Client,
    ) -> None:
        self._settings = settings
        self._records = records
        self._broker = broker
        self._clock = broker.clock
        self._record = record
        self._client = client
        self._seats = Seats(broker)
        self._silence = SilentVoice(broker, broker.keys(record.session_id))
        self._watch = VoiceWatch(settings.engine_silent_s)
        engine = record.started.engine
        self._seat = Seat(engine, record.voice_entry, record.voice_base) if record.voice_entry else None
        self._trial: Seat | None = None
        self._confirmed = False
        self._highest = record.voice_base
        self._own = engine
        self._told = engine
        self._preferred = record.preferred or engine
        self._asked = ""
        self._is_silent = self._offered = self._gave_up = False
        self._failed_s: dict[str, float] = {}
        self._switched_s = float("-inf")
        self._text_until_s: float | None = None
        self._news = asyncio.Event()

    # --- what the session tells; never waits

    def on_event(self, event: Event) -> None:
        """Take in an event of a voice worker, an old one too."""
        if self._watch.note(event):
            self._highest = max(self._highest, event.epoch)
            self._news.set()

    def tick(self, frames_in: int, frames_out: int, now_s: float) -> None:
        """Once a second: a voice that owes frames and gives none for too long is lost."""
        if self._seat is None or not self._confirmed:
            self._watch.restart()
        elif self._watch.silent(frames_in, frames_out, now_s, broker_up=self._broker.writer.up):
            self._is_silent = True
            self._news.set()

    def command(self, command: EngineCommand) -> None:
        """The client wants another engine. What cannot be is told, and nothing changes."""
        now_s = self._clock.monotonic()
        try:
            candidates(command.engine, self._record.started.language, self._settings.engine_names)
        except BadInput as error:
            self._client.say_error(ErrorText(str(error)))
            return
        if self._seat is not None and self._seat.engine == command.engine:
            self._client.say_error(ErrorText(f"the voice engine {command.engine} speaks already"))
        elif now_s - self._switched_s < SWITCH_EVERY_S:
            text = f"the voice engine may be changed once in {SWITCH_EVERY_S:g} s"
            self._client.say_error(ErrorText(text))
        else:
            self._switched_s = now_s
            self._asked = command.engine
            self._news.set()

    @property
    def wanted(self) -> str:
        """The engine to be offered as soon as it has a place; empty if there is none."""
        seat = self._seat
        if seat is None or self._offered or seat.engine == self._preferred or not self._watch.ready(seat.base):
            return ""
        return "" if self._failed_within(self._preferred, OFFER_AFTER_S) else self._preferred

    def offer(self, engine: str) -> None:
        """The wanted engine has a place: tell it, once for each change."""
        if engine == self.wanted:
            self._offered = True
            text = f"the voice engine {engine} has a place again: you may change to it"
            self._client.notice(Notice("engine_available", "info", text))

    # --- life

    async def run(self) -> None:
        """Keep the session with a voice until cancelled, or until the session is over."""
        try:
            while not (self._client.is_over or self._gave_up):
                raise_if_cancelled()
                try:
                    await self._step()
                except TRANSIENT as error:
                    log.debug("the voice cannot be looked after now: %s", type(error).__name__)
                    await self._clock.sleep(self._settings.engine_retry_s)
        finally:
            self._silence.stop()

    async def close(self, *, ended: bool) -> None:
        """The socket is closed: take back what nobody has taken. `ended`: the session will not be taken up again."""
        if self._trial is not None:
            await self._seats.withdraw(self._trial, unless_served=True)
        if ended and self._seat is not None and not self._watch.taken(self._seat.base):
            await self._seats.withdraw(self._seat)

    async def _step(self) -> None:
        """Do what is due, or wait for news."""
        self._news.clear()
        seat = self._seat
        if not self._confirmed:
            if seat is not None and not await self._is_taken(seat):
                self._lose(seat, "nobody took the session")
            self._confirmed = True
        elif self._asked:
            await self._switch()
        elif seat is None:
            await self._without_voice()
        elif self._watch.failed(seat.base) or self._is_silent:
            why = "it fell silent" if self._is_silent else self._watch.detail or "it failed"
            taken, _ = await self._seats.withdraw(seat)
            self._highest = max(self._highest, seat.base + taken)
            self._lose(seat, why)
        elif self._watch.ready(seat.base) and (self._told != seat.engine or self._text_until_s is not None):
            self._tell_change(seat)
        else:
            await self._news.wait()

    def _lose(self, seat: Seat, why: str) -> None:
        log.warning("the session loses the engine %s: %s", seat.engine, why)
        metrics.ENGINE_LOST.labels(seat.engine).inc()
        self._seat = None
        self._is_silent = False
        self._failed_s[seat.engine] = self._clock.monotonic()

    def _tell_change(self, seat: Seat) -> None:
        self._told, self._text_until_s, self._offered = seat.engine, None, False
        metrics.ENGINE_CHANGES.labels(seat.engine).inc()
        text = f"the conversation goes on with the voice engine {seat.engine}"
        self._client.notice(Notice("engine_changed", "info", text))

    # --- another engine

    def _chain(self) -> list[str]:
        """Engines to try now, best first. Before the handshake a client that named an engine gets that one or none."""
        language, offered = self._record.started.language, self._settings.engine_names
        if self._record.asked and not self._client.is_ready:
            names = [self._record.asked]
        else:
            names = [engine.id for engine in stand_ins((self._own, self._preferred), language, offered)]
        return [name for name in names if not self._failed_within(name, self._settings.engine_retry_s)]

    def _failed_within(self, engine: str, seconds: float) -> bool:
        failed_s = self._failed_s.get(engine)
        return failed_s is not None and self._clock.monotonic() - failed_s < seconds

    async def _find_another(self) -> bool:
        for engine in self._chain():
            answer, seat = await self._admit(engine)
            if answer == "admitted":
                if await self._occupy(seat):
                    return True
                self._failed_s[engine] = self._clock.monotonic()
        return False

    async def _admit(self, engine: str) -> tuple[str, Seat]:
        base = self._highest + (_MARGIN if self._seat is not None else 0)
        started = self._record.started
        answer, seat = await self._seats.admit(self._record.session_id, engine, started.language, base)
        return answer.outcome, seat

    async def _occupy(self, seat: Seat, preferred: str = "") -> bool:
        """Move to a seat as soon as somebody serves it; false if nobody does: it is withdrawn then."""
        self._trial = seat
        if not await self._is_taken(seat):
            self._trial = None
            return False
        old, self._seat, self._trial = self._seat, seat, None
        self._own, self._preferred = seat.engine, preferred or self._preferred
        self._highest = max(self._highest, seat.base)
        self._is_silent = False
        self._watch.restart()
        self._silence.stop()
        if old is not None:
            await self._seats.withdraw(old)
        if not await self._seats.write(self._record, seat, self._preferred):
            await self._seats.withdraw(seat)  # a newer connection of this session decides; this one is being closed
        return True

    async def _is_taken(self, seat: Seat) -> bool:
        """Wait until somebody serves the request, but not longer than a client may wait; else withdraw it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(self._settings.take_s):
                while not self._watch.taken(seat.base):
                    self._news.clear()
                    await self._news.wait()
                return True
        taken, is_left = await self._seats.withdraw(seat, unless_served=True)
        if taken:
            self._highest = max(self._highest, seat.base + taken)
        return is_left

    async def _switch(self) -> None:
        engine, self._asked = self._asked, ""
        outcome, seat = await self._admit(engine)
        retry = f"try again in {self._settings.retry_after_s} s"
        if outcome != "admitted":
            why = "all its places are taken" if outcome == "full" else "no voice worker serves it now"
            self._client.say_error(ErrorText(f"the voice engine stays as it is: {engine}: {why}: {retry}"))
        elif not await self._occupy(seat, preferred=engine):
            self._client.say_error(ErrorText(f"the voice engine stays as it is: {engine} did not answer: {retry}"))

    # --- text only

    async def _without_voice(self) -> None:
        """Look for an engine; where there is none keep the conversation open for a while, without a voice."""
        if await self._find_another():
            return
        now_s = self._clock.monotonic()
        if not self._client.is_ready:
            self._give_up("no voice engine could take the conversation")
            return
        if self._text_until_s is None:
            self._text_until_s = now_s + self._settings.text_only_s
            text = "Hugo cannot speak or hear you for now: the conversation waits for a voice"
            self._client.notice(Notice("text_only", "warning", text))
        if now_s >= self._text_until_s:
            self._give_up(f"no voice engine had a place for {self._settings.text_only_s:g} s")
            return
        if not self._silence.is_active:
            await self._fall_silent()
        await self._records.extend([self._record.session_id])  # an owner that failed let the keys go
        if not self._asked:
            with suppress(TimeoutError):
                async with asyncio.timeout(min(self._settings.engine_retry_s, self._text_until_s - now_s)):
                    await self._news.wait()

    async def _fall_silent(self) -> None:
        """Answer the client's frames with silence, fenced off from whoever served the session before."""
        consumed, next_seq = await self._seats.resume_point(self._record.session_id)
        self._highest += 1
        await self._seats.write(self._record, Seat(self._own, "", self._highest), self._preferred)
        self._silence.start(consumed, next_seq, self._highest)

    def _give_up(self, text: str) -> None:
        self._gave_up = True
        retry = f"try again in {self._settings.retry_after_s} s"
        self._client.refuse(Close(CloseCode.TRY_AGAIN, f"{text}: {retry}", "engine_failed"))
