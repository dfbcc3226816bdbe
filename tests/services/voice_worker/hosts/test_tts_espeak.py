"""The instant voice: what its program gives, and what is said when there is none. The program is a double here."""

from __future__ import annotations

import io
import shutil
import stat
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from services.voice_worker.hosts.serve import Call, HostOptions
from services.voice_worker.hosts.tts_espeak import load
from services.voice_worker.speech import frames
from shared.errors import ModelMissing, SpeechError

OPTIONS = HostOptions(Path("unused"), 1)


def wav() -> bytes:
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as sink:
        sink.setnchannels(1)
        sink.setsampwidth(2)
        sink.setframerate(22_050)
        sink.writeframes((np.sin(np.arange(22_050) * 0.1) * 9_000).astype("<i2").tobytes())
    return buffer.getvalue()


def program(folder: Path, body: str) -> None:
    file = folder / "espeak-ng"
    file.write_text(f"#!{sys.executable}\nimport sys\n{body}\n")
    file.chmod(file.stat().st_mode | stat.S_IXUSR)


def call(language: str = "nl") -> Call:
    return Call({"clauses": ["Goedemorgen."], "language": language, "speed": 1.2})


def test_without_the_program(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ModelMissing, match="install the package espeak-ng"):
        load(OPTIONS)


def test_its_audio_is_resampled(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "out.wav").write_bytes(wav())
    program(
        tmp_path,
        f"assert sys.stdin.read() == 'Goedemorgen.' and '198' in sys.argv and 'nl' in sys.argv\n"
        f"sys.stdout.buffer.write(open({str(tmp_path / 'out.wav')!r}, 'rb').read())",
    )
    monkeypatch.setenv("PATH", str(tmp_path))
    synthesize = load(OPTIONS).operations["synthesize"]
    (chunk,) = synthesize(call())
    assert abs(len(frames.pcm_array(chunk["pcm"])) - 24_000) < 10
    with pytest.raises(SpeechError, match="not set up"):
        next(synthesize(call("fr")))


def test_its_failure_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    program(tmp_path, "sys.exit(3)")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpeechError, match="code 3"):
        next(load(OPTIONS).operations["synthesize"](call()))


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="the program espeak-ng is not installed")
def test_the_real_program() -> None:
    (chunk,) = load(OPTIONS).operations["synthesize"](call())
    assert len(frames.pcm_array(chunk["pcm"])) > 6_000
