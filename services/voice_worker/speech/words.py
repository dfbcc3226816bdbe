"""Gives words their times when a recogniser does not: spread over the voiced parts of the audio. Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from services.voice_worker.speech.interfaces import TRANSCRIBE_HZ, Pcm, RecognisedWord

Span = tuple[float, float]

FRAME: Final = TRANSCRIBE_HZ // 50
MIN_PAUSE_S: Final = 0.20
MIN_VOICED_S: Final = 0.06


def voiced_spans(pcm: Pcm) -> tuple[Span, ...]:
    """Return the parts of `pcm` (16 kHz, shape [n]) that are louder than its noise, as (start_s, end_s), in order.

    20 ms frames count as voiced above 4 times the 10th percentile of the RMS, but at least 4 % and at most 25 % of
    the 95th; pauses below MIN_PAUSE_S are bridged. Silence gives none.
    """
    n_frames = len(pcm) // FRAME
    if n_frames == 0:
        return ()
    rms = np.sqrt(np.mean(np.square(pcm[: n_frames * FRAME].reshape(n_frames, FRAME)), axis=1))
    loud = float(np.percentile(rms, 95))
    if loud < 1e-4:
        return ()
    threshold = float(np.clip(4.0 * np.percentile(rms, 10), 0.04 * loud, 0.25 * loud))
    return _merge(rms > threshold)


def _merge(voiced: np.ndarray[tuple[int, ...], np.dtype[np.bool_]]) -> tuple[Span, ...]:
    spans: list[Span] = []
    edges = np.flatnonzero(np.diff(np.concatenate(([0], voiced.astype(np.int8), [0]))))
    for first, end in zip(edges[::2], edges[1::2], strict=True):
        start_s, end_s = int(first) * FRAME / TRANSCRIBE_HZ, int(end) * FRAME / TRANSCRIBE_HZ
        if spans and start_s - spans[-1][1] < MIN_PAUSE_S:
            spans[-1] = (spans[-1][0], end_s)
        else:
            spans.append((start_s, end_s))
    return tuple(span for span in spans if span[1] - span[0] >= MIN_VOICED_S)


def spread(text: str, pcm: Pcm) -> tuple[RecognisedWord, ...]:
    """Return the words of `text` with times in `pcm`: each gets voiced time by its number of letters plus one.

    Confidence is None: the times are estimates. Without a voiced part the whole audio counts as voiced.
    """
    words = text.split()
    spans = voiced_spans(pcm) or ((0.0, len(pcm) / TRANSCRIBE_HZ),)
    weights = [sum(map(str.isalnum, word)) + 1 for word in words]
    voiced_s = sum(end - start for start, end in spans)
    unit_s = voiced_s / max(1, sum(weights))
    placed: list[RecognisedWord] = []
    before = 0
    for word, weight in zip(words, weights, strict=True):
        start_s = _at(spans, before * unit_s, from_right=True)
        before += weight
        end_s = max(start_s, _at(spans, before * unit_s, from_right=False))
        placed.append(RecognisedWord(word, round(start_s, 3), round(end_s, 3)))
    return tuple(placed)


def _at(spans: tuple[Span, ...], voiced_s: float, *, from_right: bool) -> float:
    """Return the time at which `voiced_s` of voice has passed; at a pause, its end (`from_right`) or its start."""
    left = voiced_s
    for start, end in spans:
        length = end - start
        if left < length - 1e-9 or (not from_right and left <= length + 1e-9):
            return start + min(left, length)
        left -= length
    return spans[-1][1]
