"""One step of the language model for all slots at once, and prefill of any number of positions into one slot.

Holds for each slot the row of tokens that the model sees next. A step takes the user's codes of frame f and gives
the agent's frame f: its acoustic codebooks are predicted together with text and semantics of frame f + 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from moshi.utils.compile import CUDAGraphed

from services.voice_worker.engines.personaplex.model import streaming
from services.voice_worker.engines.personaplex.model.compiling import compile_only_on_gpu
from services.voice_worker.engines.personaplex.model.depth import DepthTransformer
from services.voice_worker.engines.personaplex.model.sampling import Sampling, key_of, penalise, sample
from services.voice_worker.engines.personaplex.tokens import N_STREAMS, PAD, UNKNOWN, USER, Codes

MAX_TEXT_TOP_K = 64
"""The largest top-k of text that counts: more would cost time in every step, and PersonaPlex uses 25."""


@dataclass(frozen=True, slots=True)
class StepControl:
    """What the host decides of one step, all int64 on the model's device.

    `on_pad` [B] is put in place if the model samples PAD, `otherwise` [B] if anything else; -1 leaves the sample.
    `agent` [B, 8] are codes to force, -1 leaves them; `recent` [B, N_RECENT] are text tokens said lately, -1: none.
    """

    on_pad: torch.Tensor
    otherwise: torch.Tensor
    agent: torch.Tensor
    recent: torch.Tensor


@dataclass(frozen=True, slots=True)
class StepOut:
    """`frame` int64 [B, 9]: text and agent codes of the frame; `next_text` [B]; `finite` [B]: no NaN in the slot."""

    frame: torch.Tensor
    next_text: torch.Tensor
    finite: torch.Tensor


class BatchGenerator:
    """`slots` conversations in one `LMModel` (8 depth steps). Every call on one thread."""

    def __init__(self, lm: Any, slots: int, max_top_k: int = 250) -> None:
        device = lm.device
        compile_only_on_gpu(device)
        self.slots = slots
        self.context = int(lm.context)
        self.device = device
        self._lm = lm
        self._max_top_k = max_top_k
        self._depth = DepthTransformer(lm)
        self._spare = streaming.new_states(lm, 1)
        lm.streaming_forever(slots)
        self._states = lm.get_streaming_state()
        self._initial = torch.full((N_STREAMS,), lm.initial_token_id, dtype=torch.long, device=device)
        self._initial[0] = lm.text_initial_token_id
        self._row = self._initial.repeat(slots, 1)
        self._position = [0] * slots
        self._spare_position = 0
        self._frame = torch.zeros(slots, dtype=torch.long, device=device)
        self._seed = torch.zeros(slots, dtype=torch.long, device=device)
        self._top_k = torch.ones(2, slots, dtype=torch.long, device=device)
        self._temperature = torch.zeros(2, slots, device=device)
        self._narrow = [False] * slots  # slots whose audio top-k is below the largest
        self._penalty = torch.ones(slots, device=device)
        self._padding_bonus = torch.zeros(slots, device=device)
        graphs_off = device.type != "cuda"
        self._main = CUDAGraphed(lm.forward_text, disable=graphs_off)
        self._depth_step = CUDAGraphed(self._run_depth, disable=graphs_off)

    @property
    def initial(self) -> tuple[int, int]:
        """The initial tokens of the text and of the audio streams."""
        return int(self._lm.text_initial_token_id), int(self._lm.initial_token_id)

    def position(self, slot: int) -> int:
        """Return the position that the slot's next step takes, counted since it was primed."""
        return self._position[slot]

    # --- one step

    @torch.no_grad()
    def step(self, user: torch.Tensor, active: torch.Tensor, n_active: list[int], control: StepControl) -> StepOut:
        """Advance the slots where `active` (bool [B]; `n_active` lists the same slots on the host).

        `user` int64 [B, 8]: the user's codes of this frame. Rows of other slots mean nothing.
        """
        row = self._row.clone()
        row[:, USER.start] = user[:, 0]
        row = torch.where(active[:, None], row, self._initial)
        self._lm.set_exec_mask(active)
        hidden, text_logits = self._main(row[:, :, None], None, None)
        key = key_of(self._seed, self._frame)
        text = self._choose_text(text_logits[:, 0, 0], key, control)
        audio = self._depth_step(text, hidden, control.agent, self._temperature[1], self._top_k[1], key)
        follows = torch.cat([text[:, None], audio, torch.full_like(user[:, :1], UNKNOWN), user[:, 1:]], dim=1)
        frame = torch.cat([row[:, :2], audio[:, 1:]], dim=1)
        self._row = torch.where(active[:, None], follows, self._row)
        self._frame += active
        for slot in n_active:
            self._position[slot] += 1
        return StepOut(frame, text, torch.isfinite(hidden).all(dim=-1)[:, 0])

    def _choose_text(self, logits: torch.Tensor, key: torch.Tensor, control: StepControl) -> torch.Tensor:
        logits = penalise(logits.float(), control.recent, self._penalty)
        logits[:, PAD] += self._padding_bonus
        sampled = sample(logits, self._temperature[0], self._top_k[0], key, 0, min(self._max_top_k, MAX_TEXT_TOP_K))
        forced = torch.where(sampled == PAD, control.on_pad, control.otherwise)
        return torch.where(forced >= 0, forced, sampled)

    def _run_depth(
        self,
        text: torch.Tensor,
        hidden: torch.Tensor,
        forced: torch.Tensor,
        temperature: torch.Tensor,
        top_k: torch.Tensor,
        key: torch.Tensor,
    ) -> torch.Tensor:
        # A recorded graph cannot change its mind when a slot with another top-k comes.
        ranked = self.device.type == "cuda" or any(self._narrow)

        def choose(codebook: int, logits: torch.Tensor) -> torch.Tensor:
            free = sample(logits, temperature, top_k, key, 1 + codebook, self._max_top_k, ranked)
            return torch.where(forced[:, codebook] >= 0, forced[:, codebook], free)

        return self._depth(text, hidden, choose)

    # --- slots

    def configure(self, slot: int, sampling: Sampling, frame: int = 0) -> None:
        """Set how a slot samples, and the frame of its conversation: equal seed and frame draw equal tokens."""
        self._seed[slot] = _signed(sampling.seed)
        self._frame[slot] = frame
        self._temperature[0, slot] = sampling.text_temperature
        self._temperature[1, slot] = sampling.audio_temperature
        self._top_k[0, slot] = sampling.text_top_k
        self._top_k[1, slot] = sampling.audio_top_k
        self._narrow[slot] = sampling.audio_temperature > 0 and sampling.audio_top_k < self._max_top_k
        self._penalty[slot] = sampling.repetition_penalty
        self._padding_bonus[slot] = sampling.padding_bonus

    def clear(self, slot: int) -> None:
        """Forget everything that the slot holds."""
        streaming.clear(self._states, slot)
        self._row[slot] = self._initial
        self._position[slot] = 0

    def set_row(self, slot: int, row: Codes) -> None:
        """Set the tokens, int64 [17], that the slot's next step sees (the user's first one comes with the step)."""
        self._row[slot] = torch.from_numpy(row).to(self.device)

    # --- prefill

    @torch.no_grad()
    def embed(self, rows: Codes) -> torch.Tensor:
        """Return the transformer's inputs for token rows [T, 17]: [T, dim]."""
        tokens = torch.from_numpy(rows).to(self.device)
        total: torch.Tensor = self._lm.text_emb(tokens[:, 0])
        for stream in range(1, N_STREAMS):
            total = total + self._lm.emb[stream - 1](tokens[:, stream])
        return total

    def prefill(self, slot: int, inputs: torch.Tensor) -> torch.Tensor:
        """Append `inputs` [T, dim] to the slot and return what the transformer makes of them, [T, dim].

        The other slots do not notice; this one must not step before `set_row`.
        """
        hidden = self._append(streaming.view(self._states, slot), inputs, self._position[slot])
        self._position[slot] += len(inputs)
        return hidden

    def prefill_spare(self, inputs: torch.Tensor) -> None:
        """Append `inputs` [T, dim] to the spare state, beside whatever the slots do."""
        self._append(self._spare, inputs, self._spare_position)
        self._spare_position += len(inputs)

    @property
    def spare_position(self) -> int:
        """Positions that the spare holds."""
        return self._spare_position

    def clear_spare(self) -> None:
        """Empty the spare state."""
        streaming.clear(self._spare, 0)
        self._spare_position = 0

    def move_spare(self, slot: int) -> None:
        """Replace what the slot remembers by the spare; what it sees next stays. Clear the spare before you use it."""
        streaming.copy_into(streaming.view(self._states, slot), self._spare, self._spare_position)
        self._position[slot] = self._spare_position
        self._spare_position = 0

    def keep(self, slot: int) -> list[torch.Tensor]:
        """Return the slot's keys and values so far, to be put into other slots."""
        return streaming.keys_and_values(streaming.view(self._states, slot), self._position[slot])

    def put(self, slot: int, kept: list[torch.Tensor]) -> None:
        """Fill a cleared slot with what `keep` gave."""
        streaming.put_keys_and_values(streaming.view(self._states, slot), kept)
        self._position[slot] = int(kept[0].shape[3])

    def put_spare(self, kept: list[torch.Tensor]) -> None:
        """Fill the cleared spare with what `keep` gave."""
        streaming.put_keys_and_values(self._spare, kept)
        self._spare_position = int(kept[0].shape[3])

    def n_state_bytes(self) -> int:
        """Return the bytes of all slots' and the spare's states."""
        return streaming.n_bytes(self._states) + streaming.n_bytes(self._spare)

    def text_logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """Return the text logits [T, card] for what `prefill` returned."""
        with torch.no_grad():
            logits: torch.Tensor = self._lm.text_linear(self._lm.out_norm(hidden[None]))[0]
        return logits

    def _append(self, states: streaming.States, inputs: torch.Tensor, position: int) -> torch.Tensor:
        # At once as far as the ring is empty. Behind that one by one: a longer piece would overwrite what its own
        # first positions still have to see.
        at_once = max(min(len(inputs), self.context - position), 0)
        parts = [part for part in (inputs[:at_once], *torch.split(inputs[at_once:], 1)) if len(part)]
        with torch.no_grad(), streaming.using(self._lm, states):
            return torch.cat([self._lm.transformer(part[None].to(self._lm.dtype))[0] for part in parts])


def _signed(seed: int) -> int:
    return (seed + 2**63) % 2**64 - 2**63
