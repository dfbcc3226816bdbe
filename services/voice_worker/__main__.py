"""`python -m services.voice_worker`: reads settings, builds the doors, runs the worker. The composition root."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace

from services.voice_worker.engines.base import SessionSpec, VoiceEngine
from services.voice_worker.engines.cascade.engine import CascadeEngine, CascadeSettings
from services.voice_worker.engines.echo import EchoEngine
from services.voice_worker.humanizer import HumanizerSettings
from services.voice_worker.listener.listener import Listener
from services.voice_worker.listener.spec import Emit, ListenerTools, OnSignal, listener_spec
from services.voice_worker.listener.vad import SileroPool
from services.voice_worker.media_thread import MediaThread
from services.voice_worker.session import MakeListener
from services.voice_worker.settings import VoiceSettings
from services.voice_worker.speech import providers
from services.voice_worker.speech.interfaces import WindowTranscriber
from services.voice_worker.speech.local import LocalOptions
from services.voice_worker.speech.openai_compatible import OpenAiOptions
from services.voice_worker.speech.providers import SpeechOptions
from services.voice_worker.worker import VoiceWorker, WorkerLimits
from shared.broker import Broker
from shared.broker.writer import WriterLimits
from shared.errors import SpeechError
from shared.presence import Status
from shared.runner import ServiceContext, exit_on_config_error, run_service
from shared.settings import load_settings

log = logging.getLogger(__name__)

WARM_DETECTORS = 16


WRITER_LIMITS = WriterLimits(max_audio_per_key=125)
"""Twice what an edge keeps while Redis is away: all that was kept there is answered at once when it is back."""


@dataclass(frozen=True, slots=True)
class _Parts:
    settings: VoiceSettings
    speech: SpeechOptions
    broker: Broker


def main() -> int:
    """Run the worker until it is told to stop; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m services.voice_worker", description="splitbrain's voice worker")
    parser.add_argument("--check", action="store_true", help="check the settings and end")
    arguments = parser.parse_args()
    settings = load_settings(VoiceSettings)
    if arguments.check:
        sys.stdout.write("the settings of the voice worker are right\n")
        return 0
    return run_service("voice", settings, lambda context: _serve(settings, context), WRITER_LIMITS)


async def _serve(settings: VoiceSettings, context: ServiceContext) -> None:
    parts = _Parts(settings, _speech_options(settings), context.broker)
    async with AsyncExitStack() as stack:
        make_listener = await _listener_maker(parts, stack) if settings.listener == "on" else None
        engines = [ENGINES[name](parts) for name in settings.engines]
        for engine in engines:
            await engine.start()
            stack.push_async_callback(engine.aclose)
        limits = WorkerLimits(
            settings.lease_s, settings.drain_s, input_idle_s=settings.input_idle_s, retention=settings.retention
        )
        worker = VoiceWorker(context.broker, engines, make_listener, consumer=settings.worker_id, limits=limits)
        context.describe = lambda: Status("", worker.sessions, worker.detail, context.health_url)
        await worker.announce()  # who reads that it is ready may send a client at once
        context.ready = True
        log.info("voice worker is ready: %s", worker.detail)
        await worker.run(context.stopping)


async def _listener_maker(parts: _Parts, stack: AsyncExitStack) -> MakeListener:
    """Start what all listeners share and return the function that makes one for a session."""
    transcriber = providers.transcriber(parts.settings.provider, parts.speech)
    stack.push_async_callback(transcriber.aclose)
    await transcriber.start()
    predictor = providers.turn_predictor(parts.speech)
    stack.push_async_callback(predictor.aclose)
    try:
        await predictor.start()
    except SpeechError as error:
        log.warning("turns end by silence alone: %s", error)
        await predictor.aclose()
        usable = None
    else:
        usable = predictor
    media = await stack.enter_async_context(MediaThread(asyncio.get_running_loop()))
    activities = SileroPool()
    # A detector costs 50 to 110 ms and 9 MB: the first callers should not wait for theirs.
    await asyncio.to_thread(activities.warm, min(parts.settings.cascade_slots, WARM_DETECTORS))
    tools = ListenerTools(media, activities, transcriber, usable, parts.broker.clock)

    def make(
        spec: SessionSpec, emit: Emit, on_signal: OnSignal, transcriber: WindowTranscriber | None = None
    ) -> Listener:
        own_tools = tools if transcriber is None else replace(tools, transcriber=transcriber)
        return Listener(listener_spec(spec), own_tools, emit, on_signal)

    return make


def _cascade(parts: _Parts) -> VoiceEngine:
    settings = parts.settings
    options = CascadeSettings(
        slots=settings.cascade_slots,
        humanizer=HumanizerSettings(hesitation_rate=settings.hesitation_rate),
        warm_languages=settings.languages if settings.warm_phrases else (),
        hugo_acknowledges=settings.acknowledge,
    )
    return CascadeEngine(providers.synthesizer(settings.provider, parts.speech), options)


def _echo(parts: _Parts) -> VoiceEngine:
    return EchoEngine(parts.settings.echo_slots)


def _personaplex(parts: _Parts) -> VoiceEngine:
    # Imported here: torch and moshi are installed only where this engine is served.
    from services.voice_worker.engines.personaplex.build import build_engine

    return build_engine(parts.settings)


ENGINES: dict[str, Callable[[_Parts], VoiceEngine]] = {
    "personaplex": _personaplex,
    "cascade": _cascade,
    "echo": _echo,
}


def _speech_options(settings: VoiceSettings) -> SpeechOptions:
    local = LocalOptions(languages=tuple(settings.languages), threads=settings.threads)
    if settings.provider == "openai":
        return SpeechOptions(local, OpenAiOptions(settings.openai_base_url or None, settings.openai_api_key))
    return SpeechOptions(local)


if __name__ == "__main__":
    sys.exit(exit_on_config_error(main))
