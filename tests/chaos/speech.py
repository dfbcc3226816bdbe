"""What must hold of a spoken conversation, whatever is restarted: frames, turns and words, each once. Pure.

A transcript cannot be compared letter by letter: the recogniser errs. What it may not do is leave out something that
was said, or hear it twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import jiwer

from shared.audio import FRAME_MS
from shared.events import CoachToVoice, Event, Notice, SessionEnded, Spoken, Transcript, TurnEnded, TurnStarted
from shared.session_worker import EpochFilter
from shared.wire import AudioFrame
from tests.chaos.frames import Packets
from tests.chaos.invariants import Entries, check_events, check_numbers, check_owners, given_out, taken_in
from tests.chaos.records import ClientTrace, Losses, StreamTrace, Violation

B = TypeVar("B", Transcript, TurnEnded, TurnStarted)

IN_FLIGHT_S = 1.0
"""How old a frame may be that dies with its socket."""

HEARD_SHARE = 0.5
"""Share of a clip's words that its recognition holds at least: the models hear nine of ten."""

MADE_UP_WORDS = 4
"""So many words in a row that nobody said are something that was heard twice."""

SETTLE_MS = 6_000
"""What was said less than this before the end may not have been recognised any more."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a client said: the words, and from when to when in milliseconds of what it sent."""

    text: str
    start_ms: int
    end_ms: int


@dataclass(frozen=True, slots=True)
class SpeechVerdict:
    """What a conversation's records show: what is wrong, what was lost, turns of the user and of Hugo.

    `unrecognised` are turns of the user that the recogniser did not manage in time, and the client was told so.
    """

    violations: tuple[Violation, ...]
    losses: Losses
    user_turns: int
    hugo_turns: int
    unrecognised: int = 0


def judge_speech(
    client: ClientTrace, packets: Sequence[Packets], said: Sequence[Said], streams: StreamTrace
) -> SpeechVerdict:
    """Return all that is wrong with one conversation with the cascade."""
    taken, given = taken_in(streams.audio_in), given_out(streams.audio_out)
    accepts = EpochFilter().accepts
    events = [event for _, event in streams.events if accepts(event)]
    lost, losses = check_frames(client, packets, taken)
    violations = [
        *lost,
        *check_numbers("audio.in", taken),
        *check_numbers("audio.out", given),
        *check_consumed(streams.audio_in, taken, given),
        *check_owners(streams),
        *check_events(client, streams.events),
        *check_turns(events),
        *check_hugo(events),
        *check_words(said, len(packets) * FRAME_MS, events),
    ]
    if streams.unreadable:
        violations.append(Violation("entries can be read", f"{streams.unreadable} cannot"))
    turns = (len(_finals(events, "user")), len(_finals(events, "hugo")))
    return SpeechVerdict(tuple(violations), losses, *turns, len(_unrecognised(events)))


def check_frames(
    client: ClientTrace, packets: Sequence[Packets], taken: Sequence[AudioFrame]
) -> tuple[list[Violation], Losses]:
    """What was taken in is what was sent, in order; what is missing died with a socket that broke."""
    waiting = iter(packets)
    alien = [frame.seq for frame in taken if not any(frame.packets == each for each in waiting)]
    missing = len(packets) - len(taken) + len(alien)
    broken = [(i, each) for i, each in enumerate(client.connections) if each.close_code not in (None, 1000)]
    in_flight = sum(
        sent.connection == index and connection.closed_s - sent.at_s <= IN_FLIGHT_S
        for index, connection in broken
        for sent in client.sent
    )
    violations = []
    if alien:
        violations.append(Violation("what is taken in was sent", f"frame {alien[0]} and {len(alien) - 1} more"))
    if missing > in_flight:
        violations.append(Violation("what is lost is told", f"{missing} frames were lost, {in_flight} on their way"))
    return violations, Losses(lost=missing, in_flight=min(missing, in_flight))


def check_consumed(entries: Entries, taken: Sequence[AudioFrame], given: Sequence[AudioFrame]) -> list[Violation]:
    """Each output frame names the input entry that it answers: each one once, in order, none left out.

    The last ones may be unanswered: a conversation may end before.
    """
    by_id = dict(entries)
    consumed = [entry.seq for frame in given if (entry := by_id.get(frame.consumed)) is not None]
    due = [frame.seq for frame in taken[: len(given)]]
    if consumed == due and len(consumed) == len(given):
        return []
    first = next((i for i, pair in enumerate(zip(consumed, due, strict=False)) if pair[0] != pair[1]), len(consumed))
    seen = consumed[first] if first < len(consumed) else "nothing"
    text = f"{len(given)} came out for {len(taken)}; output {first} answers input {seen}"
    return [Violation("each frame is consumed once", text)]


def check_turns(events: Sequence[Event]) -> list[Violation]:
    """A speaker's turns are numbered 1, 2, ..., each begins once, ends once and has one final text, not empty.

    Hugo's may leave a number out: that of an answer which was stale before its first sound. A turn that was told as not
    recognised has no text. The last turn may be open.
    """
    violations = []
    untold = _unrecognised(events)
    for speaker, letter in (("user", "u"), ("hugo", "h")):
        started = _of(events, TurnStarted, speaker)
        ended = Counter(body.turn for body in _of(events, TurnEnded, speaker))
        finals = _finals(events, speaker)
        turns = [body.turn for body in started]
        numbers = [int(turn.removeprefix(letter)) for turn in turns]
        in_order = numbers == sorted(set(numbers)) if speaker == "hugo" else numbers == [*range(1, len(turns) + 1)]
        if not in_order:
            violations.append(Violation("turns are numbered", f"{speaker}: {', '.join(turns)}"))
        count = Counter(body.turn for body in finals)
        for turn in turns[:-1]:
            if ended[turn] != 1:
                violations.append(Violation("every turn ends once", f"{turn} ended {ended[turn]} times"))
            if count[turn] != (turn not in untold):
                violations.append(Violation("every turn has one text", f"{turn} has {count[turn]}"))
        last_twice = turns and max(ended[turns[-1]], count[turns[-1]]) > 1
        if last_twice or set(count) - set(turns) or set(ended) - set(turns):
            violations.append(Violation("every turn has one text", f"{speaker}: {dict(count)}, ended {dict(ended)}"))
        empty = [body.turn for body in finals if not body.text.strip()]
        if empty:
            violations.append(Violation("a text has words", ", ".join(empty)))
    return violations


def check_hugo(events: Sequence[Event]) -> list[Violation]:
    """Hugo's text is the words that he said, and a turn that he finished holds all words of the coach, once."""
    violations = []
    spoken: dict[str, list[str]] = {}
    answers: dict[str, dict[int, str]] = {}
    for event in events:
        if isinstance(event.body, Spoken):
            spoken.setdefault(event.body.turn, []).append(event.body.text)
        elif isinstance(event.body, CoachToVoice):
            answers.setdefault(event.body.turn, {})[event.body.chunk] = event.body.response_text
    answered = {body.turn: body.answers for body in _of(events, TurnStarted, "hugo")}
    complete = {body.turn for body in _of(events, TurnEnded, "hugo") if body.reason == "complete"}
    for body in _finals(events, "hugo"):
        said = "".join(spoken.get(body.turn, [])).split()
        if said != body.text.split():
            violations.append(Violation("Hugo's text is what he said", f"{body.turn}: {body.text!r}, said {said}"))
        answer = answers.get(answered.get(body.turn) or "", {})
        due = " ".join(answer[chunk] for chunk in sorted(answer)).split()
        if body.turn in complete and due != said:
            text = f"{body.turn}: {len(said)} words of {len(due)}: {' '.join(said)!r} for {' '.join(due)!r}"
            violations.append(Violation("Hugo says each word once", text))
    return violations


def check_words(said: Sequence[Said], sent_ms: int, events: Sequence[Event]) -> list[Violation]:
    """Everything that was said long enough before the end was heard, and nothing twice."""
    until_ms = min([each.start_ms for each in said if each.end_ms + SETTLE_MS > sent_ms], default=sent_ms)
    untold = _unrecognised(events)
    gaps = [(turn.start_ms, turn.end_ms) for turn in _of(events, TurnEnded, "user") if turn.turn in untold]
    due = [each for each in said if each.start_ms < until_ms and not _overlaps(each, gaps)]
    heard = " ".join(_plain(body.text) for body in _finals(events, "user") if body.end_ms <= until_ms)
    if not due:
        return []
    owner = [index for index, each in enumerate(due) for _ in _plain(each.text).split()]
    hits: Counter[int] = Counter()
    violations = []
    output = jiwer.process_words(" ".join(_plain(each.text) for each in due), heard or "nothing")
    for part in output.alignments[0]:
        if part.type == "equal":
            hits.update(owner[part.ref_start_idx : part.ref_end_idx])
        elif part.type == "insert" and part.hyp_end_idx - part.hyp_start_idx >= MADE_UP_WORDS:
            words = " ".join(output.hypotheses[0][part.hyp_start_idx : part.hyp_end_idx])
            violations.append(Violation("nothing is heard twice", f"nobody said {words!r} there"))
    for index, n_words in Counter(owner).items():
        if hits[index] < HEARD_SHARE * n_words:
            text = f"{hits[index]} of {n_words} words of {due[index].text!r} at {due[index].start_ms / 1000:.1f} s"
            violations.append(Violation("nothing that was said is missing", text))
    return violations


def _overlaps(said: Said, gaps: Sequence[tuple[int, int]]) -> bool:
    return any(said.start_ms < end_ms and start_ms < said.end_ms for start_ms, end_ms in gaps)


def _unrecognised(events: Sequence[Event]) -> set[str]:
    """Return the user's turns of which the client was told that they could not be recognised."""
    notices = [event for event in events if isinstance(event.body, Notice) and event.body.code == "recognition_failed"]
    return {event.id.rpartition(":")[2] for event in notices}


def ended_by(events: Iterable[tuple[str, Event]]) -> set[str]:
    """Return the reasons with which a session ended."""
    return {event.body.reason for _, event in events if isinstance(event.body, SessionEnded)}


def _plain(text: str) -> str:
    """Lower case, no punctuation, "mister" as the recogniser writes it."""
    return " ".join(re.sub(r"[^\w' ]", " ", text.lower()).split()).replace("mister", "mr")


def _of(events: Sequence[Event], kind: type[B], speaker: str) -> list[B]:
    return [event.body for event in events if isinstance(event.body, kind) and event.body.speaker == speaker]


def _finals(events: Sequence[Event], speaker: str) -> list[Transcript]:
    return [body for body in _of(events, Transcript, speaker) if body.final]
