"""Makes sales talks as event streams, of any length: the mix and rate of events that a spoken call has. Pure.

Modelled on a recorded role-play of 138 s (389 events: 63 transcripts, 196 words of Hugo's, 44 measures of prosody, 30
messages of the coach). Each talk has its own sentences, so that nothing that a detector remembers serves twice.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from shared.events import (
    Body,
    CoachToVoice,
    Consent,
    EngineState,
    Event,
    Language,
    Prosody,
    ProsodyMeasured,
    Role,
    SessionEnded,
    SessionStarted,
    Spoken,
    Timing,
    Transcript,
    TurnEnded,
    TurnStarted,
    VoiceToCoach,
    Word,
)

SELLER = (
    "Thanks for having me, is that old press over there from your {thing} days?",
    "So before I say anything about us, mind if I ask a few things about your {thing}?",
    "What made you start looking at the {thing} now rather than {number} months ago?",
    "And what does that mean for you, those {number} hours a week on the {thing}?",
    "So if I hear you right, you want the {thing} to run by itself and never lose {number} orders again, correct?",
    "Because you said the {thing} keeps you up, we put {number} of them on standby, which means you sleep.",
    "I hear you, {number} thousand for the {thing} is serious money. Compared with what, exactly?",
    "Would you rather start with the {thing} on the {number}th, or with all sites at once?",
)
CUSTOMER = (
    "Well, the {thing} goes wrong about {number} times a week, and nobody knows who planned it.",
    "Honestly, I think the {thing} is too expensive, another firm is {number} percent cheaper.",
    "Yeah, that would help, our people lose {number} hours on the {thing} every Monday.",
    "I need to talk to my brother about the {thing} first, he does the money.",
)
THINGS = ("planning", "delivery", "schedule", "invoice", "warehouse", "service", "machine", "training", "contract")

WORD_MS, PARTIAL_MS, PROSODY_MS = 330, 500, 1_000


@dataclass(slots=True)
class Talk:
    """One talk while it is written. Times are media ms."""

    session_id: str
    draw: random.Random
    language: Language = "en"
    events: list[Event] = field(default_factory=list)
    at_ms: int = 0
    n_turns: int = 0

    def add(self, body: Body, event_id: str, at_ms: int, source: Role = "voice") -> None:
        self.events.append(Event(event_id, self.session_id, source, 1, at_ms, 1_700_000_000_000 + at_ms, body))

    def sentence(self, bank: tuple[str, ...]) -> str:
        """Return a sentence that hardly any other talk has."""
        return self.draw.choice(bank).format(thing=self.draw.choice(THINGS), number=self.draw.randrange(2, 9_999))


def make_talk(session_id: str, minutes: float, seed: int) -> list[Event]:
    """Return the events of a talk of about `minutes`, in stream order."""
    talk = Talk(session_id, random.Random(seed))
    consent = Consent(store_audio=True, store_transcript=True)
    talk.add(SessionStarted("cascade", "en", "en-GB", consent=consent), "edge:session_started", 0, "edge")
    talk.add(EngineState("ready", "cascade"), "voice:engine:ready:1", 80)
    talk.at_ms = 1_000
    while talk.at_ms < minutes * 60_000:
        talk.n_turns += 1
        _user_turn(talk)
        _hugo_turn(talk)
    talk.add(SessionEnded("client_closed"), "edge:session_ended", talk.at_ms + 1_000, "edge")
    return talk.events


def _user_turn(talk: Talk) -> None:
    turn, start_ms = f"u{talk.n_turns}", talk.at_ms
    text = " ".join(talk.sentence(SELLER) for _ in range(talk.draw.randint(1, 3)))
    words = tuple(_words(text, start_ms, talk.draw))
    end_ms = words[-1].end_ms
    talk.add(TurnStarted(turn, "user", start_ms), f"voice:turn_started:{turn}", start_ms + 160)
    for number, now_ms in enumerate(range(start_ms + PARTIAL_MS, end_ms, PARTIAL_MS), start=1):
        heard = tuple(word for word in words if word.end_ms <= now_ms)
        if heard:
            said = " ".join(word.text for word in heard)
            partial = Transcript(turn, "user", said, False, start_ms, heard[-1].end_ms, "en", heard)
            talk.add(partial, f"voice:transcript:{turn}:p{number}", now_ms + 240)
        if number % (PROSODY_MS // PARTIAL_MS) == 0:
            talk.add(_measured(talk, turn, now_ms - PROSODY_MS, now_ms), f"voice:prosody:{turn}:{number}", now_ms + 240)
    noticed_ms = end_ms + 420
    talk.add(TurnEnded(turn, "user", start_ms, end_ms), f"voice:turn_ended:{turn}", noticed_ms)
    final = Transcript(turn, "user", text, True, start_ms, end_ms, "en", words)
    talk.add(final, f"voice:transcript:{turn}:final", noticed_ms)
    talk.add(_measured(talk, turn, start_ms, end_ms), f"voice:prosody:{turn}", noticed_ms)
    told = VoiceToCoach(turn, text, Timing(words), Prosody(energy=0.5), False, "en", start_ms, end_ms)
    talk.add(told, f"voice:to_coach:{turn}", noticed_ms)
    talk.at_ms = noticed_ms


def _hugo_turn(talk: Talk) -> None:
    user, turn = f"u{talk.n_turns}", f"h{talk.n_turns}"
    sentences = [talk.sentence(CUSTOMER) for _ in range(2)]
    for chunk, text in enumerate(sentences):
        answer = CoachToVoice(user, text, chunk=chunk, last=chunk == 1, phase=2)
        talk.add(answer, f"coach:{user}:{chunk}", talk.at_ms + 40, "coach")
    start_ms = talk.at_ms + talk.draw.randint(300, 900)
    talk.add(TurnStarted(turn, "hugo", start_ms), f"voice:turn_started:{turn}", start_ms)
    words = list(_words(" ".join(sentences), start_ms, talk.draw))
    for index, word in enumerate(words):
        talk.add(Spoken(turn, f" {word.text}", word.start_ms), f"voice:spoken:{turn}:{index}", word.start_ms)
    end_ms = words[-1].end_ms
    talk.add(TurnEnded(turn, "hugo", start_ms, end_ms), f"voice:turn_ended:{turn}", end_ms)
    final = Transcript(turn, "hugo", " ".join(sentences), True, start_ms, end_ms, "en")
    talk.add(final, f"voice:transcript:{turn}:final", end_ms)
    talk.at_ms = end_ms + talk.draw.randint(400, 1_500)


def _words(text: str, start_ms: int, draw: random.Random) -> Iterator[Word]:
    at_ms = start_ms
    for word in text.split():
        length_ms = max(120, round(draw.gauss(WORD_MS, 80)))
        yield Word(word, at_ms, at_ms + length_ms - 40, 0.9)
        at_ms += length_ms + (draw.randint(200, 700) if word[-1] in ".,?" else 0)


def _measured(talk: Talk, turn: str, start_ms: int, end_ms: int) -> ProsodyMeasured:
    draw = talk.draw
    return ProsodyMeasured(
        turn,
        max(start_ms, 0),
        end_ms,
        Prosody(energy=round(draw.random(), 3)),
        f0_median_hz=round(draw.gauss(140, 20), 1),
        f0_range_st=round(draw.uniform(3, 9), 2),
        f0_sd_st=round(draw.uniform(1, 4), 2),
        loudness_db=round(draw.uniform(-35, -18), 1),
        loudness_sd_db=round(draw.uniform(2, 7), 1),
        syllables_per_s=round(draw.uniform(3, 6), 2),
        pause_share=0.1,
        quality=round(draw.uniform(0.4, 1), 2),
    )
