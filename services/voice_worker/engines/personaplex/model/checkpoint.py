"""Builds the language model and fills it from a checkpoint, 16-step ones cut to the 8 steps that are used.

Loading a 16-step checkpoint with 16 steps works, too, and ignores the user without a word: the generator takes the
depth steps for the agent's codebooks and has none left for the user's. So the cut is made here, and checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from moshi.models.lm import LMModel
from safetensors import SafetensorError, safe_open

from services.voice_worker.engines.personaplex.model.quantize import Int8Linear
from services.voice_worker.engines.personaplex.tokens import DELAYS
from shared.errors import EngineError, ModelCorrupt

DEPTH_STEPS: Final = 8
FULL_DEPTH_STEPS: Final = 16

PERSONAPLEX_7B: Final[Mapping[str, Any]] = {
    "dim": 4096,
    "text_card": 32_000,
    "existing_text_padding_id": 3,
    "n_q": 16,
    "dep_q": DEPTH_STEPS,
    "card": 2048,
    "num_heads": 32,
    "num_layers": 32,
    "hidden_scale": 4.125,
    "causal": True,
    "layer_scale": None,
    "context": 3000,
    "max_period": 10_000,
    "gating": "silu",
    "norm": "rms_norm_f32",
    "positional_embedding": "rope",
    "depformer_dim": 1024,
    "depformer_dim_feedforward": int(4.125 * 1024),
    "depformer_num_heads": 16,
    "depformer_num_layers": 6,
    "depformer_layer_scale": None,
    "depformer_multi_linear": True,
    "depformer_context": 8,
    "depformer_max_period": 10_000,
    "depformer_gating": "silu",
    "depformer_pos_emb": "none",
    "depformer_weights_per_step": True,
    "delays": list(DELAYS),
}
"""Arguments of moshi's `LMModel` for PersonaPlex 7B: Moshi 7B with its 8 depth steps."""

Tensors = Iterable[tuple[str, torch.Tensor]]


def eight_steps(tensors: Tensors) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield a checkpoint's tensors with the depth steps 8 to 15 cut away; one that has 8 steps passes unchanged.

    Steps 8 to 15 predict the user's codebooks. They come last and the user's codes are always given, so they
    cannot change what the agent says.
    """
    for name, value in tensors:
        parts = name.split(".")
        if name.startswith("depformer.layers.") and parts[3] == "self_attn":
            rows = value.shape[0] // FULL_DEPTH_STEPS
            is_full = value.shape[0] // value.shape[1] in (FULL_DEPTH_STEPS, 3 * FULL_DEPTH_STEPS)
            yield name, value[: DEPTH_STEPS * rows] if is_full else value
        elif _step_of(parts) < DEPTH_STEPS - (parts[0] == "depformer_emb"):
            yield name, value


def _step_of(parts: list[str]) -> int:
    """Return the depth step that a tensor belongs to; -1 for one that belongs to all."""
    if parts[0] in ("linears", "depformer_in", "depformer_emb"):
        return int(parts[1])
    if parts[:2] == ["depformer", "layers"] and parts[3] == "gating":
        return int(parts[4])
    return -1


def build(arguments: Mapping[str, Any], device: torch.device | str, dtype: torch.dtype) -> LMModel:
    """Return a model of `arguments` (with 8 depth steps whatever they say) with random weights, for inference."""
    known = {**arguments, "dep_q": DEPTH_STEPS}
    known.pop("depformer_causal", None)
    model = LMModel(device=device, dtype=dtype, **known)
    return model.eval().requires_grad_(False)


def fill(model: LMModel, tensors: Tensors) -> None:
    """Put a checkpoint's tensors into the model. ModelCorrupt names what is missing, unknown or of another shape."""
    state = dict(eight_steps(tensors))
    try:
        model.load_state_dict(state, strict=True, assign=False)
    except RuntimeError as error:
        raise ModelCorrupt(f"the checkpoint is not a PersonaPlex model of this size: {_short(error)}") from error


def load(
    path: Path,
    device: torch.device,
    dtype: torch.dtype,
    *,
    int8: bool = False,
    arguments: Mapping[str, Any] = PERSONAPLEX_7B,
    on_tensor: Callable[[int, int], None] = lambda done, total: None,
) -> LMModel:
    """Return the model of a safetensors file on `device`. Tensors go there one by one: no second copy in memory.

    `int8` keeps the large matrices in 8 bits. EngineError if the file cannot be read, ModelCorrupt if it is not it.
    """
    model = build(arguments, "meta", dtype)
    if int8:
        Int8Linear.replace_all(model)
    try:
        with safe_open(str(path), framework="pt", device="cpu") as file:  # type: ignore[no-untyped-call]
            names = list(file.keys())
            tensors = ((name, file.get_tensor(name)) for name in names)
            for done, (name, value) in enumerate(_split(eight_steps(tensors), model)):
                _place(model, name, value.to(device=device, dtype=dtype))
                on_tensor(done + 1, len(names))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise EngineError(f"cannot load {path.name}: {_short(error)}") from error
    left = [name for name, value in [*model.named_parameters(), *model.named_buffers()] if value.is_meta]
    if left:
        raise ModelCorrupt(f"{path.name} lacks {len(left)} tensors of a PersonaPlex model; the first is {left[0]}")
    return model.eval().requires_grad_(False)


def _split(tensors: Tensors, model: LMModel) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield tensors by the names of moshi's modules: it keeps stacked attention matrices one a step."""
    for name, value in tensors:
        head, found, tail = name.partition(".self_attn.")
        if not found:
            yield name, value
            continue
        kind = "in_projs" if tail.startswith("in_proj") else "out_projs"
        attention = model.get_submodule(f"{head}.self_attn")
        for number, part in enumerate(value.chunk(len(getattr(attention, kind)))):
            yield f"{head}.self_attn.{kind}.{number}.weight", part


def _place(model: LMModel, name: str, value: torch.Tensor) -> None:
    owner_name, _, attribute = name.rpartition(".")
    try:
        owner = model.get_submodule(owner_name)
    except AttributeError:
        raise ModelCorrupt(f"the checkpoint has a tensor {name!r} that PersonaPlex does not have") from None
    if isinstance(owner, Int8Linear):
        owner.take(value)
        return
    there = getattr(owner, attribute, None)
    if there is None or there.shape != value.shape:
        raise ModelCorrupt(f"tensor {name!r} has shape {tuple(value.shape)}, not that of PersonaPlex")
    kept = value.float() if there.dtype == torch.float32 else value
    setattr(owner, attribute, torch.nn.Parameter(kept.contiguous(), requires_grad=False))


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:300]
