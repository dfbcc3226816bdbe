"""English recognition with Moonshine tiny: its two ONNX graphs and its token table, without its library.

Cost grows with the length of the audio (no 30 s window), which is why it answers a short utterance in about 0.1 s.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from services.voice_worker.hosts.onnx import session
from services.voice_worker.hosts.pieces import pieces
from services.voice_worker.hosts.serve import Call, HostOptions, Loaded, run
from services.voice_worker.speech import frames, models
from services.voice_worker.speech.interfaces import TRANSCRIBE_HZ, Pcm

START, END = 1, 2
HEADS, HEAD_SIZE = 8, 36
TOKENS_PER_S: Final = 6.5  # Moonshine's own limit; above it the decoder is repeating itself
MAX_S: Final = 20.0
MIN_SAMPLES: Final = 1_600  # the encoder's convolutions need some audio

_QUOTES: Final = re.compile(r"[\"“”]|(?<!\w)['‘]|(?<=[.,!?])['’]")

Tensors = dict[str, NDArray[Any]]


class Moonshine:
    """Encoder and decoder with a cache. Not safe for several threads at once."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._encoder = session(folder / "encoder_model.ort", threads)
        self._decoder = session(folder / "decoder_model_merged.ort", threads)
        self._tokens = token_table((folder / "tokenizer.bin").read_bytes())
        self._outputs = [output.name for output in self._decoder.get_outputs()]
        self._past = [entry.name for entry in self._decoder.get_inputs() if entry.name.startswith("past")]

    def transcribe(self, pcm: Pcm, call: Call) -> tuple[str, float]:
        """Return the text of `pcm` (16 kHz, [n], at most MAX_S) and the geometric mean of the tokens' probabilities."""
        if len(pcm) < MIN_SAMPLES:
            pcm = np.pad(pcm, (0, MIN_SAMPLES - len(pcm)))
        audio = pcm[np.newaxis].astype(np.float32)
        mask = np.ones(audio.shape, np.int64)
        hidden = self._encoder.run(None, {"input_values": audio, "attention_mask": mask})[0]
        ids, log_probability = self._decode(hidden, mask, int(len(pcm) / TRANSCRIBE_HZ * TOKENS_PER_S) + 8, call)
        text = b"".join(self._tokens[token] for token in ids).decode("utf-8", "replace")
        return written(text), float(np.exp(log_probability / (len(ids) + 1)))

    def _decode(self, hidden: NDArray[Any], mask: NDArray[Any], max_tokens: int, call: Call) -> tuple[list[int], float]:
        """Greedy decoding. Return the tokens without END, and the sum of their log probabilities, END's included.

        `mask` is that of the samples: the graph itself takes every 384th of it.
        """
        constant: Tensors = {"encoder_hidden_states": hidden, "encoder_attention_mask": mask}
        past: Tensors = {name: np.zeros((1, HEADS, 0, HEAD_SIZE), np.float32) for name in self._past}
        ids: list[int] = []
        total = 0.0
        current, cached = START, False
        while len(ids) < max_tokens and not call.cancelled:
            step: Tensors = {"input_ids": np.array([[current]], np.int64), "use_cache_branch": np.array([cached])}
            outputs = self._decoder.run(None, {**constant, **past, **step})
            for name, value in zip(self._outputs[1:], outputs[1:], strict=True):
                # With a cache the graph gives the encoder's keys back empty: those of the first step stay valid.
                if not (cached and "encoder" in name):
                    past[name.replace("present", "past_key_values")] = value
            logits = outputs[0][0, -1].astype(np.float64)
            current = int(logits.argmax())
            total -= float(np.log(np.exp(logits - logits[current]).sum()))
            if current == END:
                break
            ids.append(current)
            cached = True
        return ids, total


def written(text: str) -> str:
    """Return decoded text with plain spaces, and without quotation marks: the model dots them over read-out speech."""
    return " ".join(_QUOTES.sub("", text.replace("▁", " ")).split())


def token_table(data: bytes) -> list[bytes]:
    """Return the tokens of a `tokenizer.bin`: each has its length before it, in one byte, or two from 128 on."""
    tokens: list[bytes] = []
    place = 0
    while place < len(data):
        length = data[place]
        place += 1
        if length >= 128:
            length = data[place] * 128 + length - 128
            place += 1
        tokens.append(data[place : place + length])
        place += length
    return tokens


def load(options: HostOptions) -> Loaded:
    """Check and load the model, and run it once so that the first call is warm."""
    model = Moonshine(models.checked_path("moonshine-tiny-en", options.models_dir), options.threads)

    def transcribe(call: Call) -> Iterator[frames.Message]:
        pcm = frames.pcm_array(call.fields.get("pcm"))
        heard = [model.transcribe(piece, call) for piece in pieces(pcm, MAX_S)]
        text = " ".join(text for text, _ in heard if text)
        confidence = min((confidence for text, confidence in heard if text), default=None)
        yield {"text": text, "confidence": confidence, "words": None}

    model.transcribe(np.zeros(TRANSCRIBE_HZ, np.float32), Call({}))
    return Loaded({"transcribe": transcribe}, {"languages": ["en"]})


if __name__ == "__main__":
    run("stt_moonshine", load)
