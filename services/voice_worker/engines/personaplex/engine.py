"""The `personaplex` engine: sessions get a slot of one batch, are primed, and talk. English only."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.engines.base import EngineHost, SessionSpec
from services.voice_worker.engines.personaplex import metrics
from services.voice_worker.engines.personaplex.listening.shared_transcriber import SharedTranscriber
from services.voice_worker.engines.personaplex.model.assemble import Model
from services.voice_worker.engines.personaplex.model.priming import Prompt
from services.voice_worker.engines.personaplex.model.sampling import Sampling
from services.voice_worker.engines.personaplex.model.voices import MAX_LOADED, VoiceLibrary
from services.voice_worker.engines.personaplex.model_loop import ModelLoop, Seat
from services.voice_worker.engines.personaplex.past import past_frames
from services.voice_worker.engines.personaplex.session import PersonaPlexSession, SessionTools
from services.voice_worker.engines.personaplex.slot import HISTORY_FRAMES, Conversation, Mode
from services.voice_worker.engines.personaplex.steering.words import WordAssembler
from services.voice_worker.engines.personaplex.tokens import Codes
from services.voice_worker.media_thread import MediaThread
from shared.audio import FRAME_MS
from shared.errors import EngineError, SplitbrainError
from shared.events import Tone

log = logging.getLogger(__name__)

OPEN_LIMIT_S = 15.0
CODEC_JOBS = 4_096

PERSONA = (
    "You are Hugo, an experienced sales coach. You are direct but supportive. You let silences fall, you confirm"
    " briefly, and you ask one question at a time."
)

TONE_TEXT: dict[Tone, str] = {
    "supportive": "You are warm and encouraging now.",
    "challenging": "You are firm and challenging now.",
    "neutral": "",
}


@dataclass(frozen=True, slots=True)
class PersonaPlexOptions:
    """What an operator can set. `mode`: who decides the words, see `slot.Mode`."""

    slots: int = 4
    mode: Mode = "guided"
    persona: str = PERSONA
    sampling: Sampling = field(default_factory=Sampling)
    silence_limit_s: float = 8.0


class PersonaPlexEngine:
    """A fixed number of slots on one model. `make_model` may take its time: it runs off the event loop."""

    name = "personaplex"
    history_s = HISTORY_FRAMES * FRAME_MS / 1000

    def __init__(self, options: PersonaPlexOptions, make_model: Callable[[], Model]) -> None:
        self.slots = options.slots
        self._options = options
        self._make_model = make_model
        self._free = list(range(options.slots))
        self._sessions: set[PersonaPlexSession] = set()
        self._broken = ""
        self._renewing: set[asyncio.Task[None]] = set()
        self._opening: set[asyncio.Future[None]] = set()
        self._model: Model
        self._library: VoiceLibrary
        self._loop: ModelLoop
        self._codec: MediaThread

    @property
    def accepting(self) -> bool:
        """False while ticks overrun, and after the model failed."""
        return self._loop.accepting

    @property
    def broken(self) -> str:
        """Why the model failed; "" while it runs. A GPU that failed once is not trusted again."""
        return self._broken

    async def start(self) -> None:
        """Load, warm up, start the model thread."""
        events = asyncio.get_running_loop()
        try:
            self._model = await asyncio.to_thread(self._make_model)
            self._loop = ModelLoop(
                self._model.make_batch, lambda reason: _on_loop(events, partial(self._model_failed, reason))
            )
            self._loop.start()
            await asyncio.wrap_future(self._loop.loaded)
        except SplitbrainError as error:
            raise EngineError(f"personaplex cannot start: {error}") from error
        self._codec = MediaThread(events, CODEC_JOBS)
        try:
            self._library = self._model.make_library(self._encode_voice)
            await asyncio.to_thread(self._read_voices)
        except BaseException:
            await self.aclose()
            raise
        log.info("personaplex is ready: %d slots", self.slots)

    async def open(self, spec: SessionSpec, host: EngineHost) -> PersonaPlexSession:
        if spec.language != "en":
            raise EngineError("personaplex speaks English only; ask for another engine, or for language en")
        if self._broken:
            raise EngineError(f"personaplex has failed and waits for its restart: {self._broken}")
        if not self._free:
            raise EngineError("all slots of personaplex are taken")
        slot = self._free.pop()
        try:
            async with asyncio.timeout(OPEN_LIMIT_S):
                return await self._open(slot, spec, host)
        except TimeoutError:
            raise EngineError(f"no slot of personaplex was primed within {OPEN_LIMIT_S:.0f} s") from None

    async def aclose(self) -> None:
        for task in self._renewing:
            task.cancel()
        if hasattr(self, "_codec"):
            await self._codec.close()
        if hasattr(self, "_loop"):
            await asyncio.to_thread(self._loop.stop)

    # --- a session

    async def _open(self, slot: int, spec: SessionSpec, host: EngineHost) -> PersonaPlexSession:
        events = asyncio.get_running_loop()
        ready: asyncio.Future[None] = events.create_future()
        began_s = events.time()
        try:
            prompt = await self._prompt(spec, "neutral", "")
            history = await past_frames(spec.past, self._model.tokenizer, self._loop)
            seat = self._seat(slot, spec, prompt)
        except BaseException:
            self._free.append(slot)
            raise
        session = PersonaPlexSession(spec, host, seat, self._tools(spec, seat))
        seat.on_frames = session.on_frames
        seat.on_state = lambda state, why: _on_loop(events, partial(_tell_state, session, ready, state, why))
        self._sessions.add(session)
        self._opening.add(ready)
        try:
            self._loop.post(partial(self._loop.sit, seat, history))
            if self._broken:  # it failed after `open` looked, and will never say more
                raise EngineError(f"the model failed: {self._broken}")
            await ready
        except BaseException:
            await session.close()
            raise
        finally:
            self._opening.discard(ready)
        metrics.READY_SECONDS.observe(events.time() - began_s)
        return session

    def _seat(self, slot: int, spec: SessionSpec, prompt: Prompt) -> Seat:
        words = WordAssembler(self._model.tokenizer.id_to_piece)
        talk = Conversation(
            slot,
            spec.mode or self._options.mode,
            words,
            start_frame=spec.start_frame,
            silence_limit_frames=round(self._options.silence_limit_s * 1000 / FRAME_MS),
        )
        return Seat(talk, prompt, self._sampling(spec), lambda frames: None, lambda state, why: None)

    def _sampling(self, spec: SessionSpec) -> Sampling:
        seed = spec.seed if spec.seed is not None else int.from_bytes(spec.session_id.encode()[-7:], "big")
        return replace(self._options.sampling, seed=seed)

    def _tools(self, spec: SessionSpec, seat: Seat) -> SessionTools:
        told: tuple[Tone, str] = ("neutral", "")

        def reprompt(tone: Tone, summary: str) -> None:
            nonlocal told
            wanted = (tone, summary or told[1])
            if wanted != told:
                told = wanted
                is_newest = partial(lambda wanted: wanted == told, wanted)
                task = asyncio.get_running_loop().create_task(self._renew(spec, seat, *wanted, is_newest))
                self._renewing.add(task)
                task.add_done_callback(self._renewing.discard)

        hearing = self._model.hearing
        ears = SharedTranscriber(hearing, spec.start_frame) if hearing else None
        return SessionTools(self._loop, self._codec, self._model.tokenizer.encode, reprompt, self._closed, ears)

    def _closed(self, session: PersonaPlexSession) -> None:
        self._sessions.discard(session)
        self._free.append(session.seat.talk.slot)

    async def _renew(
        self, spec: SessionSpec, seat: Seat, tone: Tone, summary: str, is_newest: Callable[[], bool]
    ) -> None:
        """Prepare the prompt with which the slot is primed the next time, unless another was wanted meanwhile."""
        try:
            prompt = await self._prompt(spec, tone, summary)
            if is_newest():
                seat.prompt = prompt
        except EngineError as error:
            log.warning("the next prompt keeps its old words: %s", error)

    async def _prompt(self, spec: SessionSpec, tone: Tone, summary: str) -> Prompt:
        name = self._library.for_tone(spec.voice, tone)
        voice = await asyncio.to_thread(self._library.get, name)
        persona = spec.persona or self._options.persona
        text = " ".join(part for part in (persona, TONE_TEXT[tone], summary) if part)
        tokens = tuple(self._model.tokenizer.encode(f"<system> {text} <system>")) if text else ()
        prompt = Prompt(voice, tokens)
        if not self._loop.primer.fits(prompt):
            room = self._loop.batch.generator.context // 2
            raise EngineError(
                f"the persona text is too long: {len(tokens)} tokens; voice and text may fill {room} positions"
            )
        return prompt

    def _encode_voice(self, pcm: NDArray[np.float32]) -> Codes:
        """Called on a worker thread by the library."""
        return self._loop.call(partial(self._loop.batch.codec.encode_whole, pcm)).result(OPEN_LIMIT_S)

    def _read_voices(self) -> None:
        """Read and encode voices before anybody talks: half a minute of sound in one piece would cost a tick."""
        for name in self._library.names()[:MAX_LOADED]:
            try:
                self._library.get(name)
            except EngineError as error:
                log.warning("a voice is left out: %s", error)

    def _model_failed(self, reason: str) -> None:
        self._broken = reason
        for ready in self._opening:
            if not ready.done():
                ready.set_exception(EngineError(f"the model failed: {reason}"))
        for session in list(self._sessions):
            session.on_failed(f"the model failed: {reason}")


def _tell_state(session: PersonaPlexSession, ready: asyncio.Future[None], state: str, why: str) -> None:
    if state == "ready" and not ready.done():
        ready.set_result(None)
    elif state == "restarted":
        session.on_restarted(why)


def _on_loop(events: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    """Call on the event loop, if it still runs."""
    if not events.is_closed():
        events.call_soon_threadsafe(call)
