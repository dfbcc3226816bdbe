"""Recognition in any of Whisper's languages, on CTranslate2.

Whisper hears 30 s at a time, of which a short utterance fills little, and the encoder's cost is what a caller waits
for. So the window is only as long as the speech needs (docs/models.md has the error rates of each length). A final
result has a beam and times of words; a partial one has neither.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import ctranslate2
import numpy as np
import tokenizers

from services.voice_worker.hosts.mel import HOP, log_mel
from services.voice_worker.hosts.pieces import pieces
from services.voice_worker.hosts.serve import Call, HostOptions, Loaded, run
from services.voice_worker.hosts.whisper_words import Word, timed_words
from services.voice_worker.speech import frames, models
from services.voice_worker.speech.interfaces import TRANSCRIBE_HZ, Pcm
from shared.errors import SpeechError

FULL_S: Final = 30.0
TAIL_S: Final = 4.0  # with less silence after the speech Whisper says it twice
FINAL_MIN_S: Final = 12.0
PARTIAL_MIN_S: Final = 8.0
LEAD_S: Final = 0.4  # silence before the speech: better on utterances that begin at once
BEAM: Final = 5
TOKENS_PER_S: Final = 8


class Whisper:
    """A CTranslate2 Whisper model with its tokenizer."""

    def __init__(self, folder: Path, threads: int) -> None:
        self._model = ctranslate2.models.Whisper(
            str(folder), device="cpu", compute_type="int8", inter_threads=1, intra_threads=threads
        )
        self._tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._end = self._special("<|endoftext|>")
        vocabulary = self._tokenizer.get_vocab()
        self.languages = sorted(name[2:-2] for name in vocabulary if _is_language(name))

    def transcribe(self, pcm: Pcm, language: str, *, partial: bool) -> dict[str, Any]:
        """Return text, confidence and (not `partial`) words of `pcm`: 16 kHz, [n], at most 29 s."""
        speech_s = len(pcm) / TRANSCRIBE_HZ
        lead_s = 0.0 if partial else LEAD_S
        shortest_s = PARTIAL_MIN_S if partial else FINAL_MIN_S
        window_s = min(FULL_S, max(shortest_s, lead_s + speech_s + TAIL_S))
        window = np.zeros(int(window_s * TRANSCRIBE_HZ), np.float32)
        first = int(lead_s * TRANSCRIBE_HZ)
        window[first : first + len(pcm)] = pcm[: len(window) - first]
        mel = log_mel(window[: len(window) // (2 * HOP) * 2 * HOP], self._model.n_mels)  # the encoder halves it
        encoded = self._model.encode(ctranslate2.StorageView.from_array(mel[np.newaxis]))
        prompt = [
            self._special(f"<|{name}|>") for name in ("startoftranscript", language, "transcribe", "notimestamps")
        ]
        result = self._model.generate(
            encoded,
            [prompt],
            beam_size=1 if partial else BEAM,
            sampling_temperature=0.0,
            max_length=int(speech_s * TOKENS_PER_S) + 16,
            return_scores=True,
            return_no_speech_prob=True,
        )[0]
        tokens = [token for token in result.sequences_ids[0] if token < self._end]
        text = self._tokenizer.decode(tokens).strip()
        if not text or (result.no_speech_prob > 0.6 and result.scores[0] < -1.0):
            return {"text": "", "confidence": None, "words": []}
        confidence = float(np.exp(result.scores[0]))
        words = None if partial else self._words(encoded, prompt, tokens, first, speech_s)
        return {"text": text, "confidence": confidence, "words": words}

    def _words(self, encoded: Any, prompt: list[int], tokens: list[int], first: int, speech_s: float) -> list[Word]:
        lead_s = first / TRANSCRIBE_HZ
        n_frames = min(int(FULL_S * TRANSCRIBE_HZ), first + int(speech_s * TRANSCRIBE_HZ)) // HOP  # mel frames
        aligned = self._model.align(encoded, prompt[:-1], [tokens], [n_frames], median_filter_width=7)[0]
        found = timed_words(
            tokens, aligned.alignments, aligned.text_token_probs, self._tokenizer.decode, lead_s + speech_s
        )
        return [
            (text, round(max(0.0, start - lead_s), 3), round(max(0.0, end - lead_s), 3), p)
            for text, start, end, p in found
        ]

    def _special(self, text: str) -> int:
        token = self._tokenizer.token_to_id(text)
        if token is None:
            raise SpeechError(f"this Whisper model has no {text}; choose another language or model")
        return int(token)


def _is_language(token: str) -> bool:
    return token.startswith("<|") and token.endswith("|>") and len(token) in (6, 7) and token[2:-2].isalpha()


def load(options: HostOptions) -> Loaded:
    """Check and load the model, and run it once so that the first call is warm."""
    folder = models.checked_path("whisper-base", options.models_dir)
    whisper = Whisper(folder, options.threads)

    def transcribe(call: Call) -> Iterator[frames.Message]:
        pcm = frames.pcm_array(call.fields.get("pcm"))
        language = call.text("language", 8)
        partial = bool(call.fields.get("partial"))
        heard = [(offset_s, whisper.transcribe(piece, language, partial=partial)) for offset_s, piece in _windows(pcm)]
        yield _joined(heard, partial=partial)

    whisper.transcribe(np.zeros(TRANSCRIBE_HZ, np.float32), "en", partial=True)
    return Loaded({"transcribe": transcribe}, {"languages": whisper.languages})


def _windows(pcm: Pcm) -> Iterator[tuple[float, Pcm]]:
    """Yield (offset in seconds, piece): pieces of at most 29 s, cut in the quietest place of the second half."""
    done = 0
    for piece in pieces(pcm, FULL_S - 1.0):
        yield done / TRANSCRIBE_HZ, piece
        done += len(piece)


def _joined(heard: list[tuple[float, dict[str, Any]]], *, partial: bool) -> frames.Message:
    parts = [(offset_s, part) for offset_s, part in heard if part["text"]]
    words = [(text, a + offset_s, b + offset_s, p) for offset_s, part in parts for text, a, b, p in part["words"] or ()]
    return {
        "text": " ".join(part["text"] for _, part in parts),
        "confidence": min((part["confidence"] for _, part in parts), default=None),
        "words": None if partial else words,
    }


if __name__ == "__main__":
    run("stt_whisper", load)
