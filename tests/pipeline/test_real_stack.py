"""The whole product as its users run it: real processes, a real Redis, local models, real speech over the edge."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import jiwer
import pytest

from services.command_line.call_options import CallOptions
from services.command_line.client import Received, VoiceClient
from services.command_line.demo import load_role_play
from services.command_line.deployment import Deployment, own_deployment
from services.command_line.talk import hold_conversation
from services.command_line.turn_script import TurnRules
from services.command_line.wav import Pcm, read_wav
from shared.events import (
    CoachToVoice,
    MetricsUpdated,
    Notice,
    ProsodyMeasured,
    Spoken,
    Transcript,
    TurnStarted,
    VoiceToCoach,
)
from shared.redis_server import RedisServer

pytestmark = [pytest.mark.models, pytest.mark.timeout(150), pytest.mark.asyncio(loop_scope="session")]

B = TypeVar("B")

SPEECH = Path(__file__).parents[1] / "fixtures" / "audio" / "en_human"
RULES = TurnRules(gap_ms=300, greeting_ms=6_000)


def words(text: str) -> str:
    """Lower case, no punctuation, "mister" as the recogniser writes it."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split()).replace("mister", "mr")


def bodies(received: list[Received], kind: type[B]) -> list[B]:
    return [thing.event.body for thing in received if thing.event and isinstance(thing.event.body, kind)]


def finals(received: list[Received], speaker: str) -> list[Transcript]:
    return [body for body in bodies(received, Transcript) if body.final and body.speaker == speaker]


async def test_a_seller_and_hugo_talk(running_stack: Deployment) -> None:
    script, clips = load_role_play("en", 1)
    options = CallOptions(engine="cascade", language="en")
    done = await hold_conversation(running_stack.ws_url, clips, options, RULES)
    assert done.outcomes == ["answered"]
    said = [body.text for body in finals(done.received, "user")]
    assert jiwer.wer([words(text) for text in script["turns"][:1]], [words(text) for text in said]) < 0.2
    answers = finals(done.received, "hugo")
    assert len(answers) >= 2, "a greeting and an answer"
    assert len({body.text for body in answers}) == len(answers), "Hugo never repeats himself"
    assert all(body.text.count("?") <= 1 for body in answers)
    spoken = "".join(body.text for body in bodies(done.received, Spoken))
    assert spoken.split() == " ".join(body.text for body in answers).split()
    assert bodies(done.received, VoiceToCoach)[0].timing.word_timestamps
    assert all(body.prosody.emotion is None for body in bodies(done.received, ProsodyMeasured))
    hints = bodies(done.received, CoachToVoice)
    assert {body.turn for body in hints} >= {"", "u1"}
    assert bodies(done.received, MetricsUpdated)
    assert done.scorecard is not None
    assert {turn["turn"] for turn in done.scorecard.scorecard["turns"]} == {"u1"}
    heard = done.recording.heard_ms
    assert heard == pytest.approx(done.recording.sent_frames * 80, abs=400), "one frame out for each frame in"


async def recognised(url: str, pcm: Pcm) -> str:
    """Speak one clip to the echo engine and return what the listener made of it."""
    async with VoiceClient(url, CallOptions(engine="echo", language="en")) as call:
        call.send_pcm(pcm)
        async with asyncio.timeout(60):
            while call.queued_ms:
                await asyncio.sleep(0.05)  # looks again: the client sends in real time
            end_ms = call.media_ms

            def over(thing: Received) -> bool:
                body = thing.event.body if thing.event else None
                return isinstance(body, VoiceToCoach) and body.end_ms > end_ms - 1_000

            await call.wait_for(over, 30)
        return " ".join(body.text for body in finals(call.received, "user"))


async def test_human_speech_is_understood(running_stack: Deployment) -> None:
    manifest = json.loads((SPEECH / "manifest.json").read_text("utf-8"))
    clips = [read_wav(SPEECH / entry["file"]) for entry in manifest]
    heard = await asyncio.gather(*(recognised(running_stack.ws_url, clip) for clip in clips))
    wer = jiwer.wer([words(entry["text"]) for entry in manifest], [words(text) for text in heard])
    print(f"word error rate of human English over the edge: {wer:.3f}")
    assert wer <= 0.10


def children(pid: int) -> dict[int, str]:
    """Pid -> command line of a process's children."""
    found: dict[int, str] = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            stat = (entry / "stat").read_text()
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if int(stat.rsplit(")", 1)[1].split()[1]) == pid:
            found[int(entry.name)] = command
    return found


async def test_a_voice_that_is_killed_in_mid_sentence_comes_back(running_stack: Deployment) -> None:
    _, clips = load_role_play("en", 1)
    hosts = [pid for pid, command in children(running_stack.pids["voice"]).items() if "tts_piper" in command]
    assert hosts, "the voice worker runs its voice in a process of its own"
    killed: list[int] = []

    def kill_while_he_speaks(thing: Received) -> None:
        body = thing.event.body if thing.event else None
        if isinstance(body, TurnStarted) and body.speaker == "hugo" and not killed:
            os.kill(hosts[0], signal.SIGKILL)
            killed.append(hosts[0])

    options = CallOptions(engine="cascade", language="en")
    neighbour = asyncio.create_task(recognised(running_stack.ws_url, read_wav(sorted(SPEECH.glob("*0880.wav"))[0])))
    done = await hold_conversation(running_stack.ws_url, clips, options, RULES, on_event=kill_while_he_speaks)
    assert killed
    assert done.outcomes == ["answered"]
    assert jiwer.wer("he was not an ill disposed young man", words(await neighbour)) < 0.3, "nobody else notices"
    again = [pid for pid, command in children(running_stack.pids["voice"]).items() if "tts_piper" in command]
    assert again
    assert again != hosts


async def test_redis_may_be_away_for_three_seconds(tmp_path: Path) -> None:
    server = RedisServer(append_only=True, folder=tmp_path).start()
    env = {"SPLITBRAIN_REDIS_URL": server.url, "SPLITBRAIN_EVALUATOR_RECORDINGS": ""}
    options = CallOptions(engine="echo", language="en")
    try:
        async with (
            own_deployment("--engine", "echo", env=env) as deployment,
            VoiceClient(deployment.ws_url, options) as call,
        ):
            await _sent(call, 1_000)
            stopped_at_ms = call.media_ms
            server.stop()
            await call.wait_for(_notice("broker_lost"), 10)
            await _sent(call, stopped_at_ms + 3_000)
            server.start()
            await call.wait_for(_notice("broker_back"), 10)
            assert call.is_open
            away_ms = call.media_ms - stopped_at_ms
            back_at_ms = call.recording.heard_ms
            async with asyncio.timeout(10):
                while call.recording.heard_ms < back_at_ms + 1_000:
                    await asyncio.sleep(0.02)  # looks again: the client sends in real time
            lost_ms = call.media_ms - call.recording.heard_ms
            # Five seconds are kept; a machine that took longer to bring Redis back has shed the rest, and said so.
            assert lost_ms < 1_000 + max(0, away_ms - 5_000), "what was sent while Redis was away came back"
    finally:
        server.stop()


def _notice(code: str) -> Callable[[Received], bool]:
    def matches(thing: Received) -> bool:
        body = thing.event.body if thing.event else None
        return isinstance(body, Notice) and body.code == code

    return matches


async def _sent(call: VoiceClient, media_ms: int) -> None:
    """Return when the call has sent so much; it sends in real time, so this is not a wait for luck."""
    async with asyncio.timeout(30):
        while call.media_ms < media_ms:
            await asyncio.sleep(0.02)  # looks again: the client sends in real time
