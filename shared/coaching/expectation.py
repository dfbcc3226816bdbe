"""How likely each technique is by what the talk has come to, before a word of the turn was heard. Pure.

Log odds, set by hand from the method's order and tried on dialogues for development; no figure of a corpus.
"""

from __future__ import annotations

from shared.coaching.detection import DetectionContext
from shared.coaching.knowledge import Knowledge

NOT_KNOWN = 0.0

_AHEAD = {1: -0.9, 2: -2.2, 3: -3.0}
_BACK = {1: -1.0, 2: -2.2, 3: -3.0}
_GATE = -1.0  # phases 3 and 4 before the customer's yes: it happens, as a mistake or where the yes was not heard
_OPEN = 0.9  # after it
_UNSURE = -0.3
_CALLED_FOR = 1.6
_OTHER_OFF_RAMP = -1.6
_GOES_ON = 0.9
_NO_OFF_RAMP = -0.9
_NEXT = 0.7
_SAME_AGAIN = -0.4
_BEGINS = 0.8
_PHASE_2_IN_4 = -0.4
_TWIN = -1.0  # the closing steps are said with the words of the recommendation: the phase tells them apart
_TWINS = {3: frozenset(["4.3.1", "4.3.2", "4.3.3"]), 4: frozenset(["3.1", "3.2", "3.3", "3.4"])}

_ORDER = ("1.1", "1.2", "1.3", "1.4")
_NEXT_STEPS: dict[str, tuple[str, ...]] = {
    "1.1": ("1.2",),
    "1.2": ("1.3", "1.4"),
    "1.3": ("1.4",),
    "2.2": ("2.3", "2.2"),
    "2.3": ("2.4", "2.3", "2.1.6"),
    "2.4": ("3.1", "3.2"),
    "3.1": ("3.2",),
    "3.2": ("3.3",),
    "3.3": ("3.4",),
    "3.4": ("3.5", "3.7"),
    "3.5": ("4.ABC", "3.7"),
    "3.6": ("3.7",),
    "3.7": ("4.1",),
    "4.3.1": ("4.3.2",),
    "4.3.2": ("4.3.3",),
    "4.3.3": ("4.3.4",),
    "4.3.4": ("4.3.5",),
    "4.INDIEN": ("4.3.5", "4.3.1", "4.3.3"),
}
_REPEATS = frozenset(["2.3", "2.1.6", "2.1.2", "4.2.2", "4.2.3", "4.2.4", "4.2.5", "4.2.6", "3.2", "4.2.1"])


def log_odds(technique: str, context: DetectionContext, knowledge: Knowledge) -> float:
    """Return how much more (or less) likely a technique is in this context than out of it."""
    odds = _by_phase(technique, context, knowledge) + _by_attitude(technique, context, knowledge)
    last = context.done[-1] if context.done else None
    if last is None:
        return odds + (_BEGINS if technique == _ORDER[0] and context.phase is None else 0.0)
    if technique in _NEXT_STEPS.get(last, ()):
        odds += _NEXT
    elif technique == last and technique not in _REPEATS:
        odds += _SAME_AGAIN
    return odds


def _by_phase(technique: str, context: DetectionContext, knowledge: Knowledge) -> float:
    """Return the better of two odds: by the phase that the gate allows, and by where the last technique was.

    A talk whose beginning was not heard, or a seller who went past the gate, is in a later phase all the same.
    """
    if context.phase is None:
        return NOT_KNOWN
    known = _in_phase(technique, context.phase, context.committed, knowledge)
    last = knowledge.technique(context.done[-1]).phase if context.done else context.phase
    if last <= context.phase:
        return known
    return max(known, _in_phase(technique, last, True, knowledge) + _UNSURE)


def _in_phase(technique: str, phase: int, is_open: bool, knowledge: Knowledge) -> float:
    step = knowledge.technique(technique).phase - phase
    if step == 0:
        return 0.0
    if phase == 4 and technique in ("2.3", "3.6", "3.7"):
        return _PHASE_2_IN_4
    odds = _AHEAD[min(step, 3)] if step > 0 else _BACK[min(-step, 3)]
    odds += _TWIN if technique in _TWINS.get(phase, ()) else 0.0
    if step > 0 and phase <= 2 < phase + step:
        odds += _OPEN if is_open else _GATE
    return odds


def _by_attitude(technique: str, context: DetectionContext, knowledge: Knowledge) -> float:
    called_for = knowledge.expected(context.attitude, context.phase)
    if any(knowledge.is_within(technique, wanted) for wanted in called_for):
        return _CALLED_FOR
    if not technique.startswith("4.2."):
        return 0.0
    last = context.done[-1] if context.done else ""
    if technique == last or {technique, last} == {"4.2.5", "4.2.6"}:
        return _GOES_ON
    return _OTHER_OFF_RAMP if called_for else _NO_OFF_RAMP
