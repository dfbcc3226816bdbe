"""The layout on disk: folders of samples and nothing else in them, 16 kHz mono, both files equally long."""

from __future__ import annotations

import json
import wave
from pathlib import Path

from services.evaluator.exporting.duplex_files import INDEX, write_samples
from tests.services.evaluator.recorded_talks import humming_view, role_play_view


def test_the_layout_is_the_benchmarks(tmp_path: Path) -> None:
    counts, silent = write_samples([humming_view()], tmp_path)
    assert silent == []
    assert counts == {"smooth_turn_taking": 2, "conversation": 1}
    root = tmp_path / "smooth_turn_taking"
    assert sorted(path.name for path in root.iterdir()) == ["1", "2"]  # the scripts take all that is there
    for sample in root.iterdir():
        names = {path.name for path in sample.iterdir()}
        assert names == {"input.wav", "output.wav", "input.json", "output.json", "turn_taking.json"}
        lengths = set()
        for name in ("input.wav", "output.wav"):
            with wave.open(str(sample / name)) as file:
                assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (16_000, 1, 2)
                lengths.add(file.getnframes())
        assert len(lengths) == 1
    index = json.loads((tmp_path / INDEX).read_text())
    assert len(index) == 3
    assert index[0]["recording"] == humming_view().recording.manifest.id


def test_recordings_without_sound_are_named(tmp_path: Path) -> None:
    counts, silent = write_samples([role_play_view()], tmp_path)
    assert counts == {}
    assert silent == [role_play_view().recording.manifest.id]
