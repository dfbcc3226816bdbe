"""A recogniser beside the voice: each slot hears what it would hear alone, and the voice does not notice."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from moshi.models.lm import LMGen
from safetensors.torch import save_file

from services.voice_worker.engines.personaplex.inputs import SlotInput
from services.voice_worker.engines.personaplex.listening.hearing import SttConfig
from services.voice_worker.engines.personaplex.model import tiny
from services.voice_worker.engines.personaplex.model.batch import Batch
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.stt import BatchStt
from services.voice_worker.engines.personaplex.model.stt_files import load_stt, read_stt
from services.voice_worker.engines.personaplex.model.tiny_stt import TINY_STT, tiny_stt
from shared.audio import FRAME_SAMPLES
from shared.errors import EngineError
from tests.services.voice_worker.engines.personaplex.model.conftest import Life, assert_same, life

CONFIG = SttConfig()
CPU = torch.device("cpu")


@dataclass
class Stream:
    """One listener's codes [n, 32], and the tokens and probabilities that came of them."""

    codes: torch.Tensor
    tokens: list[int] = field(default_factory=list)
    pauses: list[float] = field(default_factory=list)

    @property
    def over(self) -> bool:
        return len(self.tokens) >= len(self.codes)


def stream(number: int, n_frames: int) -> Stream:
    return Stream(torch.randint(0, 2048, (n_frames, 32), generator=torch.Generator().manual_seed(number)))


def by_moshi(codes: torch.Tensor) -> tuple[list[int], list[float]]:
    """Return what moshi's own generator makes of a stream that it has for itself."""
    generator = LMGen(tiny_stt(), use_sampling=False, check=True)
    tokens, pauses = [], []
    with generator.streaming(1):
        for frame in codes:
            out, heads = generator.step_with_extra_heads(frame[None, :, None])
            tokens.append(int(out[0, 0, 0]))
            pauses.append(float(heads[2][0, 0, 0]))
    return tokens, pauses


def step(stt: BatchStt, slots: int, awake: Mapping[int, Stream]) -> None:
    codes = torch.randint(0, 2048, (slots, 32))
    active = torch.zeros(slots, dtype=torch.bool)
    for slot, one in awake.items():
        codes[slot] = one.codes[len(one.tokens)]
        active[slot] = True
    text, pause = stt.step(codes, active)
    for slot in range(slots):
        if slot in awake:
            awake[slot].tokens.append(int(text[slot]))
            awake[slot].pauses.append(float(pause[slot]))
        else:
            assert (int(text[slot]), float(pause[slot])) == (-1, 0.0)


def assert_as_moshi(one: Stream) -> None:
    tokens, pauses = by_moshi(one.codes)
    assert one.tokens == tokens
    assert one.pauses == pytest.approx(pauses, abs=1e-4)


def test_every_slot_hears_what_moshi_hears_alone() -> None:
    """Four slots, random masks, listeners that come and go; some talk longer than the model can look back."""
    rng = np.random.default_rng(2)
    stt = BatchStt(tiny_stt(), 4, CONFIG)
    streams: dict[int, Stream] = {}
    done: list[Stream] = []
    for _ in range(110):
        for slot in range(4):
            if slot not in streams and rng.random() < 0.4:
                stt.clear(slot)
                streams[slot] = stream(len(done) * 10 + slot, int(rng.integers(3, TINY_STT["context"] + 25)))
        step(stt, 4, {slot: one for slot, one in streams.items() if rng.random() < 0.8})
        done += [streams.pop(slot) for slot in tuple(streams) if streams[slot].over]
    assert len(done) >= 6
    assert max(len(one.codes) for one in done) > TINY_STT["context"]
    assert len({token for one in done for token in one.tokens}) > 20
    for one in done:
        assert_as_moshi(one)


def test_a_broken_slot_leaks_nothing_and_is_as_new_when_cleared() -> None:
    stt = BatchStt(tiny_stt(), 2, CONFIG)
    broken, beside, fresh = stream(1, 6), stream(2, 20), stream(3, 8)
    for _ in range(3):
        step(stt, 2, {0: broken, 1: beside})
    for state in stt._states.values():
        cache = getattr(state, "kv_cache", None)
        if cache is not None:
            cache.cache[:, 0] = float("nan")
    for _ in range(3):
        step(stt, 2, {0: broken, 1: beside})
    assert broken.tokens[3:] == [-1, -1, -1]
    assert broken.pauses[3:] == [0.0, 0.0, 0.0]
    stt.clear(0)
    while not beside.over:
        step(stt, 2, {1: beside} if fresh.over else {0: fresh, 1: beside})
    assert_as_moshi(fresh)
    assert_as_moshi(beside)


def test_a_model_without_extra_heads_tells_no_pause() -> None:
    stt = BatchStt(tiny_stt({**TINY_STT, "extra_heads_num_heads": 0}), 1, CONFIG)
    one = stream(4, 3)
    while not one.over:
        step(stt, 1, {0: one})
    assert one.pauses == [0.0, 0.0, 0.0]


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(EngineError, match="16 codebooks"):
        BatchStt(tiny.language_model(), 1, CONFIG)


# --- beside the voice


def sharing_batch(slots: int) -> Batch:
    stt = BatchStt(tiny_stt(), slots, CONFIG)
    return Batch(BatchGenerator(tiny.language_model(), slots), BatchCodec(tiny.codec(), slots, 32), stt)


def test_the_first_8_of_32_codebooks_are_the_8_codebooks() -> None:
    wide, narrow = BatchCodec(tiny.codec(), 2, 32), BatchCodec(tiny.codec(), 2)
    generator = torch.Generator().manual_seed(5)
    for number in range(12):
        pcm = 0.1 * torch.randn(2, FRAME_SAMPLES, generator=generator)
        active = torch.tensor([True, number % 3 > 0])
        codes = wide.encode(pcm, active)
        assert codes.shape == (2, 32)
        assert torch.equal(codes[active, :8], narrow.encode(pcm, active)[active])
    recording = np.random.default_rng(5).normal(0, 0.1, 3 * FRAME_SAMPLES).astype(np.float32)
    assert np.array_equal(wide.encode_whole(recording), narrow.encode_whole(recording))


def test_the_voice_says_the_same_with_and_without_a_recogniser() -> None:
    batch = sharing_batch(3)
    lives = {0: life(1, 14), 2: life(2, 9)}
    for slot, one in lives.items():
        one.begin(batch, slot)
    awake = dict(lives)
    while awake:
        for slot, output in batch.tick({slot: one.next_input() for slot, one in awake.items()}).items():
            awake[slot].heard.append(output)
        awake = {slot: one for slot, one in awake.items() if not one.over}
    for one in lives.values():
        alone = one.alone()
        assert_same(one.heard, alone)
        assert {(output.heard_text, output.pause) for output in alone} == {(-1, 0.0)}
        assert [output.heard_text for output in one.heard] == by_moshi(codes_of(one))[0]
        assert all(0 < output.pause < 1 for output in one.heard)


def codes_of(one: Life) -> torch.Tensor:
    codec = BatchCodec(tiny.codec(), 1, 32)
    return torch.cat([codec.encode(torch.from_numpy(pcm)[None], torch.tensor([True])) for pcm in one.sound])


def test_a_frame_without_sound_is_not_heard_and_a_broken_recogniser_begins_anew() -> None:
    batch = sharing_batch(1)
    one = life(3, 8)
    one.begin(batch, 0)
    assert batch.stt is not None
    batch.tick({0: one.next_input()})
    for state in batch.stt._states.values():
        cache = getattr(state, "kv_cache", None)
        if cache is not None:
            cache.cache.fill_(float("nan"))
    silent = SlotInput(None, user=np.zeros(8, np.int64), agent=np.zeros(8, np.int64), silent=True)
    assert batch.tick({0: silent})[0].heard_text == -1
    broken = batch.tick({0: one.next_input()})[0]
    assert (broken.heard_text, broken.pause, broken.finite) == (-1, 0.0, True)
    assert batch.tick({0: one.next_input()})[0].heard_text >= 0


# --- from files


def write(folder: Path, arguments: Mapping[str, Any] = TINY_STT, **changed: Any) -> Path:
    """Write a folder as Kyutai publishes one; its configuration names no extra heads, as that of `-candle`."""
    config = {
        **{name: value for name, value in arguments.items() if not name.startswith("extra_heads")},
        "conditioners": {},
        "cross_attention": False,
        "model_type": "stt",
        "model_id": {"sig": "tiny", "epoch": 1},
        "lm_gen_config": {"temp": 0.0, "temp_text": 0.0},
        "stt_config": {"audio_delay_seconds": 0.5, "audio_silence_prefix_seconds": 0.0},
        "mimi_name": "mimi.safetensors",
        "tokenizer_name": "tokenizer.model",
        **changed,
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer.model").write_bytes(b"")
    save_file(
        {name: value.contiguous() for name, value in tiny_stt().state_dict().items()}, folder / "model.safetensors"
    )
    return folder


def test_a_published_folder_is_loaded_with_the_heads_that_it_has(tmp_path: Path) -> None:
    files = read_stt(write(tmp_path))
    assert files.config == SttConfig(0.5, 32, 2)
    assert files.room_bytes(2, torch.bfloat16) > files.room_bytes(1, torch.bfloat16) > files.weights.stat().st_size
    stt = BatchStt(load_stt(files, CPU, torch.float32), 1, files.config)
    one = stream(6, 12)
    while not one.over:
        step(stt, 1, {0: one})
    assert_as_moshi(one)


@pytest.mark.parametrize(
    "changed",
    [
        {"n_q": 16},
        {"dep_q": 8},
        {"delays": [0] * 32 + [1]},
        {"delays": [0] * 8},
        {"model_type": "moshi"},
        {"existing_text_padding_id": 7},
        {"conditioners": {"description": {}}},
        {"stt_config": {"audio_delay_seconds": 2.5, "audio_silence_prefix_seconds": 1.0}},
        {"tokenizer_name": "../tokenizer.model"},
        {"moshi_name": "other.safetensors"},
        {"dim": "wide"},
    ],
)
def test_a_folder_of_something_else_is_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    with pytest.raises(EngineError):
        read_stt(write(tmp_path, **changed))


def test_a_folder_without_a_configuration_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=r"config\.json"):
        read_stt(tmp_path)
    (tmp_path / "config.json").write_text("{")
    with pytest.raises(EngineError, match=r"config\.json"):
        read_stt(tmp_path)


@pytest.mark.parametrize("changed", [{"num_layers": 3}, {"dim": 128}, {"nonsense": 1}, {"num_heads": 3}])
def test_weights_of_another_model_are_refused(tmp_path: Path, changed: dict[str, Any]) -> None:
    files = read_stt(write(tmp_path, **changed))
    with pytest.raises(EngineError, match="cannot load"):
        load_stt(files, CPU, torch.float32)


def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path) -> None:
    files = read_stt(write(tmp_path))
    files.weights.write_bytes(b"nothing")
    with pytest.raises(EngineError, match="cannot load"):
        load_stt(files, CPU, torch.float32)
