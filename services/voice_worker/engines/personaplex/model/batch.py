"""One tick of all slots: one copy in, one encode, one step, one decode, one copy out. Knows slots by number only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
import torch

from services.voice_worker.engines.personaplex.inputs import N_RECENT, SlotInput, SlotOutput
from services.voice_worker.engines.personaplex.model.codec import BatchCodec
from services.voice_worker.engines.personaplex.model.generator import BatchGenerator, StepControl
from services.voice_worker.engines.personaplex.model.stt import BatchStt
from services.voice_worker.engines.personaplex.tokens import N_CODEBOOKS, PAD
from shared.audio import FRAME_SAMPLES

_ON_PAD, _OTHERWISE, _ENCODES, _STEPS, _DECODES = range(5)
_AGENT = slice(5, 13)
_USER = slice(13, 21)
_RECENT = slice(21, 21 + N_RECENT)
_WIDTH: Final = 21 + N_RECENT


class Batch:
    """Codec and generator of the same number of slots. Every call on one thread.

    A recogniser `stt` hears what the codec encodes for the generator; the codec must give it all its codebooks.
    """

    def __init__(self, generator: BatchGenerator, codec: BatchCodec, stt: BatchStt | None = None) -> None:
        self.generator = generator
        self.codec = codec
        self.stt = stt
        self.slots = generator.slots
        pinned = generator.device.type == "cuda"
        self._pcm = torch.zeros(self.slots, FRAME_SAMPLES, pin_memory=pinned)
        self._numbers = torch.zeros(self.slots, _WIDTH, dtype=torch.long, pin_memory=pinned)
        self._out = torch.zeros(self.slots, FRAME_SAMPLES + 21, pin_memory=pinned)
        self._deaf = torch.tensor([[-1.0, 0.0]] * self.slots, device=generator.device)

    def tick(self, inputs: Mapping[int, SlotInput]) -> dict[int, SlotOutput]:
        """Advance the slots of `inputs` by one frame; the others stand still."""
        self._fill(inputs)
        device = self.generator.device
        pcm = self._pcm.to(device, non_blocking=True)
        numbers = self._numbers.to(device, non_blocking=True)
        encodes, steps, decodes = (numbers[:, column].bool() for column in (_ENCODES, _STEPS, _DECODES))
        codes = self.codec.encode(pcm, encodes)
        given = numbers[:, _USER]
        heard = torch.where(given >= 0, given, codes[:, :N_CODEBOOKS])
        control = StepControl(numbers[:, _ON_PAD], numbers[:, _OTHERWISE], numbers[:, _AGENT], numbers[:, _RECENT])
        out = self.generator.step(heard, steps, list(inputs), control)
        sound = self.codec.decode(out.frame[:, 1:], decodes)
        scalars = (out.frame, out.next_text[:, None], out.finite[:, None], heard)
        packed = torch.cat([sound, *(value.float() for value in scalars), self._hear(codes, encodes)], dim=1)
        self._out.copy_(packed, non_blocking=False)  # the one point at which the host waits for the device
        outputs = {slot: self._read(slot) for slot in inputs}
        if self.stt is not None:
            for slot, output in outputs.items():
                if output.heard_text < 0 and inputs[slot].pcm is not None:  # broken: begin anew
                    self.stt.clear(slot)
        return outputs

    def _hear(self, codes: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        """Return the recogniser's token and its probability of a pause, float [B, 2]; -1 and 0 without one."""
        if self.stt is None:
            return self._deaf
        text, pause = self.stt.step(codes, active)
        return torch.stack([text.float(), pause], dim=1)

    def clear(self, slot: int) -> None:
        """Forget everything of a slot."""
        self.generator.clear(slot)
        self.codec.clear(slot)
        if self.stt is not None:
            self.stt.clear(slot)

    def warm_up(self, n_ticks: int = 3) -> None:
        """Run all slots on silence, so that kernels are built and graphs are recorded; then clear them."""
        silence = SlotInput(np.zeros(FRAME_SAMPLES, np.float32))
        for _ in range(n_ticks):
            self.tick(dict.fromkeys(range(self.slots), silence))
        for slot in range(self.slots):
            self.clear(slot)

    def _fill(self, inputs: Mapping[int, SlotInput]) -> None:
        pcm, numbers = self._pcm.numpy(), self._numbers.numpy()
        pcm[:] = 0.0
        numbers[:] = -1
        numbers[:, [_ENCODES, _STEPS, _DECODES]] = 0
        for slot, given in inputs.items():
            row = numbers[slot]
            row[_ON_PAD], row[_OTHERWISE] = given.forcing.on_pad, given.forcing.otherwise
            row[_STEPS] = 1
            row[_DECODES] = not given.silent
            if given.recent is not None:
                row[_RECENT] = given.recent
            if given.pcm is not None:
                pcm[slot] = given.pcm
                row[_ENCODES] = 1
            if given.agent is not None:
                row[_AGENT] = given.agent
            if given.user is not None:
                row[_USER] = given.user

    def _read(self, slot: int) -> SlotOutput:
        row = self._out[slot].numpy()
        numbers = row[FRAME_SAMPLES:].astype(np.int64)
        return SlotOutput(
            text=int(numbers[0]),
            agent=numbers[1:9],
            user=numbers[11:19],
            pcm=np.nan_to_num(row[:FRAME_SAMPLES], nan=0.0),
            next_text=int(numbers[9]),
            finite=bool(numbers[10]),
            heard_text=int(numbers[19]),
            pause=float(row[-1]),
        )


class RestingBatch(Batch):
    """A batch for the tiny model, whose random codec is never silent: silent while the model pads.

    So its turns end, and there are calm moments, as with a codec that was trained.
    """

    def tick(self, inputs: Mapping[int, SlotInput]) -> dict[int, SlotOutput]:
        """As the batch's own."""
        outputs = super().tick(inputs)
        return {
            slot: replace(output, pcm=np.zeros_like(output.pcm)) if output.text == PAD else output
            for slot, output in outputs.items()
        }
