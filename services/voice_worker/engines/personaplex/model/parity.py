"""Parity cases: a tiny random model, a prompt and the user's codes, and the tokens that NVIDIA's own code emits.

Reads a case's file, rebuilds its weights, runs it alone or in one slot of a running batch, counts equal rows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from services.voice_worker.engines.personaplex.inputs import N_RECENT
from services.voice_worker.engines.personaplex.model import checkpoint
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator, StepControl
from services.voice_worker.engines.personaplex.model.priming import Prompt, again_inputs, prime
from services.voice_worker.engines.personaplex.model.sampling import GREEDY, Sampling
from services.voice_worker.engines.personaplex.model.voice_files import CodesVoice, EmbeddedVoice, embedded_voice
from services.voice_worker.engines.personaplex.tokens import Codes
from shared.errors import BadInput, EngineError

FORMAT = "pp-parity-case/1"
SLOT = 2
"""Where a case runs in a batch."""

LOGIT_TOLERANCE = 0.15
"""Median over the rows of the largest error of a row. bf16 on these tiny models gives 0.06; a wrong layout gives 2."""

EMBEDDINGS = ("emb", "text_emb", "depformer_emb", "depformer_text_emb")


@dataclass(frozen=True, slots=True)
class Case:
    """One case. `user` [L, 8]; `expected` [L, 9]: text and agent codes of each live frame."""

    name: str
    model: dict[str, Any]
    weights: dict[str, Any]
    voice: CodesVoice | EmbeddedVoice | None
    text_tokens: tuple[int, ...]
    user: Codes
    expected: Codes


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many of `total` rows were equal; `first_wrong` is the first that was not, -1 if all were."""

    equal: int
    total: int
    first_wrong: int


@dataclass(frozen=True, slots=True)
class LogitVerdict:
    """How far text logits are from those of float32, in standard deviations of each row: median and largest."""

    n_rows: int
    median_error: float
    largest_error: float
    tolerance: float = LOGIT_TOLERANCE

    @property
    def within(self) -> bool:
        """True if the median error is within the tolerance."""
        return self.median_error <= self.tolerance


def settle(device: str, dtype: str) -> tuple[str, torch.dtype]:
    """Return where and in what type to compute; "" is the GPU in bfloat16, or the CPU in float32. TF32 is off."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    chosen = device or ("cuda" if torch.cuda.is_available() else "cpu")
    if chosen == "cpu":
        torch.set_num_threads(1)  # a case is so small that threads only wait for each other
    name = dtype or ("bfloat16" if chosen.startswith("cuda") else "float32")
    kind: torch.dtype = getattr(torch, name)
    return chosen, kind


def read_case(path: Path) -> Case:
    """Return the case of a file. BadInput says what is wrong with it."""
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInput("bad_case", f"cannot read {path.name}: {error}") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise BadInput("bad_case", f"{path.name} is no parity case: its format must be {FORMAT!r}")
    try:
        return Case(
            name=str(data["name"]),
            model=dict(data["model"]),
            weights=dict(data["weights"]),
            voice=_voice(data["prompt"]["voice"], path.parent),
            text_tokens=tuple(int(token) for token in data["prompt"]["text_tokens"]),
            user=_table(data["user_codes"], 8),
            expected=_table(data["expected"]["frames"], 9),
        )
    except (KeyError, TypeError, ValueError, OSError, EngineError) as error:
        raise BadInput("bad_case", f"{path.name}: {type(error).__name__}: {error}") from error


def random_weights(rule: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Return the 16-step checkpoint of the rule `normal-v1`: every tensor drawn in the order of its name."""
    if rule.get("rule") != "normal-v1":
        raise BadInput("bad_case", f"unknown rule of weights: {rule.get('rule')!r}")
    rng = np.random.default_rng(int(rule["seed"]))
    digest = hashlib.sha256()
    made = {}
    for name, shape in sorted((str(name), list(shape)) for name, shape in rule["tensors"]):
        value = _scaled(name, rng.standard_normal(shape, dtype=np.float32))
        digest.update(value.astype("<f4").tobytes())
        made[name] = torch.from_numpy(value)
    if rule.get("sha256") and digest.hexdigest() != rule["sha256"]:
        raise BadInput("bad_case", "the weights drawn here have another hash: this numpy draws other numbers")
    return made


def build_model(case: Case, device: torch.device, dtype: torch.dtype) -> Any:
    """Return the case's model with its weights, cut to 8 depth steps."""
    model = checkpoint.build(case.model, "cpu", torch.float32)
    checkpoint.fill(model, random_weights(case.weights).items())
    return model.to(device=device, dtype=dtype)


def run_case(case: Case, batch: int = 1, *, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Verdict:
    """Run the case alone (`batch` 1) or in slot 2 of a running batch, and compare.

    In a batch the other slots hold sessions with random prompts and codes, execution masks are random, the case's
    slot was in use before, and another slot is cleared and primed again on the way.
    """
    if batch != 1 and batch <= SLOT:
        raise BadInput("bad_batch", f"a batch has 1 or at least {SLOT + 1} slots")
    generator = BatchGenerator(build_model(case, torch.device(device), dtype), batch)
    runner = _Runner(generator, case, np.random.default_rng(0))
    rows = runner.alone() if batch == 1 else runner.in_batch()
    wrong = [n for n, (row, due) in enumerate(zip(rows, case.expected, strict=True)) if not np.array_equal(row, due)]
    return Verdict(len(rows) - len(wrong), len(rows), wrong[0] if wrong else -1)


def compare_logits(case: Case, device: str, dtype: torch.dtype) -> LogitVerdict:
    """Compare text logits of `dtype` on `device` with those of float32 on the CPU, over the case's true tokens.

    Half precision rounds, so tokens differ where two are close; the logits tell rounding from a fault.
    """
    exact = _logits(case, torch.device("cpu"), torch.float32)
    rough = _logits(case, torch.device(device), dtype).cpu()
    error = (rough - exact).abs().amax(dim=-1) / exact.std(dim=-1)
    return LogitVerdict(len(error), float(error.median()), float(error.max()))


def _logits(case: Case, device: torch.device, dtype: torch.dtype) -> torch.Tensor:
    """Return the text logits of the live positions, float32 [L, card], given the tokens that are due."""
    generator = BatchGenerator(build_model(case, device, dtype), 1)
    live = np.concatenate([case.expected, case.user], axis=1)
    inputs = again_inputs(generator, Prompt(case.voice, case.text_tokens), live)
    hidden = generator.prefill(0, inputs)[-len(live) :]
    return generator.text_logits(hidden).float()


class _Runner:
    """Steps a generator by hand."""

    def __init__(self, generator: BatchGenerator, case: Case, rng: np.random.Generator) -> None:
        self._generator = generator
        self._case = case
        self._rng = rng

    def alone(self) -> list[Codes]:
        forced, codes = self._start(0)
        self._step({0: codes}, {0: forced})
        return [self._step({0: user}, {})[0] for user in self._case.user]

    def in_batch(self) -> list[Codes]:
        slots = range(self._generator.slots)
        for slot in slots:
            self._fill(slot)
        self._random_steps(8, slots)
        forced, codes = self._start(SLOT)  # into a slot that was in use, while the others are in mid-call
        others = [slot for slot in slots if slot != SLOT]
        self._random_steps(3, others)
        self._step({SLOT: codes}, {SLOT: forced})
        rows = []
        for number, user in enumerate(self._case.user):
            self._random_steps(int(self._rng.integers(0, 2)), others)
            if number == len(self._case.user) // 2:
                self._fill(others[0])
            fed = {slot: self._codes() for slot in others if self._rng.random() < 0.6}
            rows.append(self._step({**fed, SLOT: user}, {})[SLOT])
        return rows

    def _start(self, slot: int) -> tuple[Codes, Codes]:
        self._generator.clear(slot)
        self._generator.configure(slot, GREEDY)
        boundary = prime(self._generator, slot, Prompt(self._case.voice, self._case.text_tokens))
        return boundary.agent, boundary.user

    def _fill(self, slot: int) -> None:
        """Put a random session into a slot."""
        generator = self._generator
        generator.clear(slot)
        generator.configure(slot, Sampling(seed=int(self._rng.integers(2**31))))
        tokens = tuple(int(t) for t in self._rng.integers(4, self._case.model["text_card"], 5 + slot))
        boundary = prime(generator, slot, Prompt(CodesVoice("random", self._codes(7)), tokens))
        self._step({slot: boundary.user}, {slot: boundary.agent})

    def _random_steps(self, n: int, slots: Any) -> None:
        for _ in range(n):
            self._step({slot: self._codes() for slot in slots if self._rng.random() < 0.7}, {})

    def _codes(self, n: int = 0) -> Codes:
        return self._rng.integers(0, self._case.model["card"], (n, 8) if n else 8)

    def _step(self, user: dict[int, Codes], forced: dict[int, Codes]) -> NDArray[np.int64]:
        generator = self._generator
        batch = generator.slots
        codes = self._rng.integers(0, self._case.model["card"], (batch, 8))  # garbage for slots that do not step
        agent = np.full((batch, 8), -1)
        for slot, row in user.items():
            codes[slot] = row
        for slot, row in forced.items():
            agent[slot] = row
        active = torch.zeros(batch, dtype=torch.bool, device=generator.device)
        active[list(user)] = True
        free = torch.full((batch,), -1, device=generator.device)
        recent = torch.full((batch, N_RECENT), -1, device=generator.device)
        control = StepControl(free, free, torch.from_numpy(agent).to(generator.device), recent)
        out = generator.step(torch.from_numpy(codes).to(generator.device), active, list(user), control)
        return out.frame.cpu().numpy()


def _voice(data: Any, folder: Path) -> CodesVoice | EmbeddedVoice | None:
    if data is None:
        return None
    if data["kind"] == "codes":
        return CodesVoice("case", _table(data["codes"], 8))
    if data["kind"] != "pt":
        raise ValueError(f"unknown kind of voice: {data['kind']!r}")
    name = str(data["file"])
    if Path(name).name != name:
        raise ValueError("a voice file lies beside its case")
    with np.load(folder / name, allow_pickle=False) as arrays:
        return embedded_voice("case", torch.from_numpy(arrays["embeddings"]), torch.from_numpy(arrays["cache"]))


def _table(rows: Any, width: int) -> Codes:
    table = np.array(rows, dtype=np.int64)
    if table.ndim != 2 or table.shape[1] != width:
        raise ValueError(f"a table of {width} columns is due, not shape {table.shape}")
    return table


def _scaled(name: str, z: NDArray[np.float32]) -> NDArray[np.float32]:
    if name.endswith(".alpha"):
        return np.float32(1) + np.float32(0.1) * z
    if name.split(".")[0] in EMBEDDINGS:
        return z
    gain = 12 if name == "text_linear.weight" else 2
    return z * np.float32(gain / np.sqrt(z.shape[-1]))
