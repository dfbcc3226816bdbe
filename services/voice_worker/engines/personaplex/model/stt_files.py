"""A recogniser's folder as Kyutai publishes it (`config.json`, weights, tokenizer): checked, then loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import torch
from moshi.models import loaders
from moshi.models.lm import LMModel
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError
from safetensors import SafetensorError, safe_open

from services.voice_worker.engines.personaplex.listening.hearing import SttConfig
from services.voice_worker.engines.personaplex.tokens import EPAD, PAD
from shared.errors import EngineError

CONFIG: Final = "config.json"

_FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_@][A-Za-z0-9_.@-]*$")]

_NOT_THE_MODELS: Final = (
    "moshi_name",
    "mimi_name",
    "mimi_config_name",
    "tokenizer_name",
    "lora_name",
    "model_type",
    "lm_gen_config",
    "tts_config",
    "stt_config",
    "model_id",
    "conditioners",
    "fuser",
    "text_padding_token_id",
    "depformer_causal",
)
"""Keys of the file that are no arguments of moshi's `LMModel`, as `CheckpointInfo` and `get_moshi_lm` take them out."""


class _Delay(BaseModel):
    audio_delay_seconds: Annotated[float, Field(ge=0, le=5)]
    audio_silence_prefix_seconds: Annotated[float, Field(ge=0)] = 0.0


class _Config(BaseModel):
    """What is needed of `config.json`; everything else in it is an argument of the model."""

    model_config = ConfigDict(extra="allow")

    model_type: Literal["stt"] = "stt"
    n_q: Literal[32]
    dep_q: Literal[0]
    card: Literal[2048]
    delays: list[Literal[0]] = [0] * 33
    dim: Annotated[int, Field(ge=1, le=16_384)]
    num_layers: Annotated[int, Field(ge=1, le=128)]
    context: Annotated[int, Field(ge=1, le=10_000)]
    text_card: Annotated[int, Field(ge=4, le=200_000)]
    existing_text_padding_id: Literal[3] = PAD
    existing_text_end_padding_id: Literal[0] = EPAD
    conditioners: Annotated[dict[str, Any], Field(max_length=0)] = {}
    stt_config: _Delay
    moshi_name: _FileName = loaders.MOSHI_NAME
    tokenizer_name: _FileName


@dataclass(frozen=True, slots=True)
class SttFiles:
    """Where a recogniser's files are and what its configuration says. `arguments` are those of moshi's `LMModel`."""

    weights: Path
    tokenizer: Path
    arguments: Mapping[str, Any]
    config: SttConfig

    def room_bytes(self, slots: int, dtype: torch.dtype) -> int:
        """Return the bytes that weights, keys and values take on the device."""
        width, layers, context = (int(self.arguments[name]) for name in ("dim", "num_layers", "context"))
        return self.weights.stat().st_size + slots * 2 * layers * context * width * dtype.itemsize


def read_stt(folder: Path) -> SttFiles:
    """Return what is in a recogniser's folder without loading it. EngineError says what is missing or does not fit."""
    try:
        config = _Config.model_validate_json((folder / CONFIG).read_bytes())
    except OSError as error:
        raise EngineError(f"there is no recogniser in {folder}: {CONFIG} cannot be read") from error
    except ValidationError as error:
        wrong = ", ".join(".".join(map(str, one["loc"])) or CONFIG for one in error.errors())
        raise EngineError(
            f"{folder / CONFIG} is not that of a recogniser for 32 codebooks, like kyutai/stt-1b-en_fr: {wrong}"
        ) from error
    if len(config.delays) != 1 + config.n_q:
        raise EngineError(f"{folder / CONFIG} has {len(config.delays)} delays for {1 + config.n_q} streams")
    if config.stt_config.audio_silence_prefix_seconds:
        raise EngineError(f"the recogniser in {folder} wants silence before speech; take kyutai/stt-1b-en_fr")
    paths = folder / config.moshi_name, folder / config.tokenizer_name
    for path in paths:
        if not path.is_file():
            raise EngineError(f"the recogniser lacks {path}")
    arguments = {key: value for key, value in config.model_dump().items() if key not in _NOT_THE_MODELS}
    return SttFiles(*paths, arguments, SttConfig(config.stt_config.audio_delay_seconds, config.n_q))


def load_stt(files: SttFiles, device: torch.device, dtype: torch.dtype) -> LMModel:
    """Return the recogniser on `device`, for inference. EngineError if the weights are not those of its configuration.

    The extra heads are counted in the weights: of stt-1b-en_fr only the `-candle` repository has them, and its
    configuration does not say so.
    """
    try:
        arguments = {**files.arguments, **_heads(files.weights)}
        model = loaders.get_moshi_lm(files.weights, arguments, device=device, dtype=dtype)
    except (OSError, SafetensorError, RuntimeError, TypeError, ValueError, AssertionError) as error:
        cause = " ".join(str(error).split())[:300]
        raise EngineError(f"cannot load the recogniser {files.weights}: {cause}") from error
    return model.eval().requires_grad_(False)


def _heads(weights: Path) -> dict[str, int]:
    with safe_open(str(weights), framework="pt") as file:  # type: ignore[no-untyped-call]
        heads = [name for name in file.keys() if name.startswith("extra_heads.")]  # noqa: SIM118  no mapping
        n_classes = int(file.get_slice(heads[0]).get_shape()[0]) if heads else 0
    return {"extra_heads_num_heads": len(heads), **({"extra_heads_dim": n_classes} if heads else {})}
