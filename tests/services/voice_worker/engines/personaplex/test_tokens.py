"""Where each token of a prompt stands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.voice_worker.engines.personaplex.tokens import (
    AGENT,
    DELAYS,
    N_STREAMS,
    PAD,
    SILENCE,
    SILENCE_FRAMES,
    SINE,
    UNKNOWN,
    USER,
    Codes,
    frames_of,
    positions_of,
    prompt_frames,
)

TEXT_INITIAL, AUDIO_INITIAL = 32_000, 2_048


def numbered(n: int) -> Codes:
    """Frames in which each token names its frame and stream."""
    return np.arange(n)[:, None] * 100 + np.arange(N_STREAMS)


def test_streams_are_text_eight_of_the_agent_and_eight_of_the_user() -> None:
    assert len(DELAYS) == N_STREAMS == 1 + len(SILENCE) + len(SINE)
    assert [stream for stream, delay in enumerate(DELAYS) if delay == 0] == [0, AGENT.start, USER.start]
    assert [*range(N_STREAMS)][AGENT] + [*range(N_STREAMS)][USER] == [*range(1, N_STREAMS)]


def test_frames_of_silence_or_of_a_voice() -> None:
    assert frames_of(text=PAD, agent=SILENCE, user=SINE, n=2).tolist() == [[PAD, *SILENCE, *SINE]] * 2
    voice = np.arange(24).reshape(3, 8)
    frames = frames_of(text=PAD, agent=voice, user=SINE, n=3)
    assert np.array_equal(frames[:, AGENT], voice)
    assert frames_of(text=PAD, agent=SILENCE, user=SINE, n=0).shape == (0, N_STREAMS)


@given(st.integers(0, 6), st.lists(st.integers(4, 31_999), max_size=6))
def test_a_prompt_is_voice_silence_text_silence(n_voice: int, text: list[int]) -> None:
    voice = np.arange(n_voice * 8).reshape(n_voice, 8)
    frames = prompt_frames(voice, text)
    silent = [[PAD, *SILENCE, *SINE]] * SILENCE_FRAMES
    assert frames.tolist() == [
        *[[PAD, *codes, *SINE] for codes in voice.tolist()],
        *silent,
        *[[token, *SILENCE, *SINE] for token in text],
        *silent,
    ]
    assert np.array_equal(prompt_frames(None, text), frames[n_voice:])


@given(st.integers(2, 12))
def test_every_token_stands_at_its_delay(n: int) -> None:
    frames = numbered(n)
    rows = positions_of(frames, TEXT_INITIAL, AUDIO_INITIAL)
    assert rows.shape == (n + 1, N_STREAMS)
    for stream, delay in enumerate(DELAYS):
        assert np.array_equal(rows[1 + delay : n + delay, stream], frames[1:, stream])
    assert [rows[-1, stream] for stream, delay in enumerate(DELAYS) if not delay] == [UNKNOWN] * 3
    assert np.count_nonzero(rows == UNKNOWN) == 3


@pytest.mark.parametrize("n", [0, 1, 5])
def test_the_first_frame_is_never_seen(n: int) -> None:
    rows = positions_of(numbered(n), TEXT_INITIAL, AUDIO_INITIAL)
    assert rows[0].tolist() == [TEXT_INITIAL, *[AUDIO_INITIAL] * 16]
    assert [rows[1, stream] for stream, delay in enumerate(DELAYS) if delay and n] == [AUDIO_INITIAL] * (14 if n else 0)
    assert not np.isin(rows, numbered(1)).any()
