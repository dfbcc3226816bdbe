"""Makes pages from recordings: decodes and measures the sound, then hands over to what is pure. Writes nothing."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from services.evaluator.recording.reader import Recording
from services.evaluator.report.data import SessionView, session_view
from services.evaluator.report.folder import Grouping, folder_page
from services.evaluator.report.session import SIDES, session_page
from services.evaluator.report.sound import Voice, measure, track_uri
from services.evaluator.report.summary import summary_of
from services.evaluator.report.texts import Words
from shared.coaching.detection import Detector
from shared.events import Language, Speaker


def report_recording(
    recording: Recording, language: Language | None = None, *, with_sound: bool = True, detector: Detector | None = None
) -> str:
    """Return the page about a recording, in the language of the talk unless another is asked for.

    Without sound (not recorded, or not wanted) it shows the same, and says that it is silent.
    """
    view = session_view(recording, detector)
    words = Words(language or recording.manifest.language)
    tracks = {speaker: track_uri(recording, side) for side, speaker in SIDES.items()} if with_sound else {}
    return session_page(view, words, _voices(view), {who: uri for who, uri in tracks.items() if uri})


def report_recordings(
    name: str,
    recordings: Iterable[Recording],
    language: Language | None = None,
    grouping: Grouping = Grouping(),  # noqa: B008 - frozen
    bad: Sequence[tuple[str, str]] = (),
    *,
    detector: Detector | None = None,
) -> str:
    """Return the page about many recordings, in the language of most of them unless another is asked for.

    Each is read, evaluated and let go before the next. `bad` is looked at when all are read.
    """
    summaries = [summary_of(session_view(recording, detector)) for recording in recordings]
    most = Counter(each.language for each in summaries).most_common(1)
    return folder_page(name, summaries, Words(language or (most[0][0] if most else "en")), grouping, bad)


def _voices(view: SessionView) -> dict[Speaker, Voice]:
    voices: dict[Speaker, Voice] = {}
    for side, speaker in SIDES.items():
        sound = view.recording.track(side)
        if sound is not None:
            voices[speaker] = measure(sound, view.timeline.all_speech(speaker))
    return voices
