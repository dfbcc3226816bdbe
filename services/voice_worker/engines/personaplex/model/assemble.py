"""From settings to a model that can run: the tiny one, or the real one from a folder of weights."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np
import sentencepiece
import torch
from moshi.models import loaders
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.listening.hearing import Hearing, SttConfig
from services.voice_worker.engines.personaplex.model import checkpoint, tiny
from services.voice_worker.engines.personaplex.model.batch import Batch, RestingBatch
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator
from services.voice_worker.engines.personaplex.model.stt import BatchStt
from services.voice_worker.engines.personaplex.model.stt_files import SttFiles, load_stt, read_stt
from services.voice_worker.engines.personaplex.model.tiny_stt import tiny_stt
from services.voice_worker.engines.personaplex.model.voices import VoiceLibrary
from services.voice_worker.engines.personaplex.steering.text import Tokenizer
from services.voice_worker.engines.personaplex.tokens import N_CODEBOOKS, Codes
from services.voice_worker.engines.personaplex.weights import sizing
from services.voice_worker.engines.personaplex.weights import store as weights
from shared.errors import EngineError

log = logging.getLogger(__name__)

TINY: Final[Literal["tiny"]] = "tiny"
TINY_PADDING_BONUS: Final = 200.0
"""Left to itself the tiny model talks in every frame; with this it says the coach's words and else nothing."""

Encode = Callable[[NDArray[np.float32]], Codes]
Stt = SttFiles | Literal["tiny"] | None


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """Which model runs where. `source`: "tiny", a folder of weights, or "" for the default folder.

    `device` "": the first GPU. `voices` is a folder of own voices, "" for that of the weights.
    `stt` is a recogniser on the same codes: "tiny", a folder, or "" for none.
    """

    source: str = ""
    device: str = ""
    weight_bits: Literal[16, 8] = 16
    voices: str = ""
    stt: str = ""


@dataclass(frozen=True, slots=True)
class Model:
    """What the engine needs: how to make the batch (on its own thread), the tokenizer, the voices, the recogniser."""

    make_batch: Callable[[], Batch]
    tokenizer: Tokenizer
    make_library: Callable[[Encode], VoiceLibrary]
    hearing: Hearing | None = None


def make_model(choice: ModelChoice, slots: int) -> Model:
    """Find everything that the model needs; loads nothing large yet. EngineError says what is missing."""
    if choice.source == TINY:
        voices = Path(choice.voices) if choice.voices else None
        stt, hearing = _find_stt(choice.stt)
        return Model(partial(_tiny_batch, slots, stt), tiny.tokenizer(), partial(VoiceLibrary, voices), hearing)
    device = _device(choice.device)
    files = weights.find(Path(choice.source) if choice.source else None)
    stt, hearing = _find_stt(choice.stt)
    _check_room(device, slots, choice.weight_bits, stt)
    voices = Path(choice.voices) if choice.voices else files.voices
    processor = sentencepiece.SentencePieceProcessor(str(files.tokenizer))
    make_batch = partial(_real_batch, files, device, choice, slots, stt)
    return Model(make_batch, processor, partial(VoiceLibrary, voices), hearing)


def _tiny_batch(slots: int, stt: Stt) -> Batch:
    torch.set_num_threads(int(os.environ.get("SPLITBRAIN_TORCH_THREADS", "1")))
    return _batch(tiny.language_model(), tiny.codec(), slots, stt, RestingBatch)


def _real_batch(files: Any, device: torch.device, choice: ModelChoice, slots: int, stt: Stt) -> Batch:
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    log.info("loading %s on %s; this takes a while", files.model.name, device)
    lm = checkpoint.load(files.model, device, dtype, int8=choice.weight_bits == 8)
    mimi = loaders.get_mimi(files.mimi, device=device)
    return _batch(lm, mimi, slots, stt)


def _batch(lm: Any, mimi: Any, slots: int, stt: Stt, kind: type[Batch] = Batch) -> Batch:
    if stt is None:
        return kind(BatchGenerator(lm, slots), BatchCodec(mimi, slots, N_CODEBOOKS))
    recogniser = tiny_stt().to(lm.device) if stt == TINY else load_stt(stt, lm.device, lm.dtype)
    config = SttConfig() if stt == TINY else stt.config
    batch_stt = BatchStt(recogniser, slots, config)
    return kind(BatchGenerator(lm, slots), BatchCodec(mimi, slots, config.n_codebooks), batch_stt)


def _find_stt(source: str) -> tuple[Stt, Hearing | None]:
    if not source:
        return None, None
    if source == TINY:
        return TINY, Hearing(SttConfig(), tiny.tokenizer())
    files = read_stt(Path(source))
    return files, Hearing(files.config, sentencepiece.SentencePieceProcessor(str(files.tokenizer)))


def _device(name: str) -> torch.device:
    if name == "cpu":
        log.warning("PersonaPlex 7B on a CPU takes seconds for each frame: this is for tests only")
        return torch.device("cpu")
    if not torch.cuda.is_available():
        raise EngineError(
            "PersonaPlex needs a GPU and torch sees none: install a driver and a CUDA build of torch, or choose the"
            " model `tiny` or the device `cpu` for tests"
        )
    return torch.device(name or "cuda")


def _check_room(device: torch.device, slots: int, bits: Literal[16, 8], stt: Stt) -> None:
    if device.type != "cuda":
        return
    free, _ = torch.cuda.mem_get_info(device)
    if isinstance(stt, SttFiles):
        free -= stt.room_bytes(slots, torch.bfloat16)
    fit = sizing.fit(free, weight_bits=bits, context=checkpoint.PERSONAPLEX_7B["context"])
    if fit.slots < slots:
        raise EngineError(
            f"{slots} slots do not fit the {free / 1e9:.0f} GB that are free on {device}: {fit.slots} do"
            f" (`splitbrain models size personaplex`); set fewer, or weights of 8 bits"
        )
