"""From a recording to a page: sound embedded and measured, the language of the talk, many recordings one by one."""

from __future__ import annotations

import json
import re

from services.evaluator.report.build import report_recording, report_recordings
from services.evaluator.report.folder import Grouping
from shared.coaching.detector import rule_detector
from tests.services.evaluator.recorded_talks import humming_view, recorded, scene_events


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_sound_is_embedded_and_drawn() -> None:
    page = report_recording(humming_view().recording, detector=rule_detector())
    assert page.count('src="data:audio/ogg;base64,') == 2
    assert set(data_of(page)["curves"]) == {"user", "hugo"}  # type: ignore[call-overload]
    assert '<html lang="nl">' in page


def test_left_out_sound_is_still_drawn() -> None:
    page = report_recording(humming_view().recording, "en", with_sound=False, detector=rule_detector())
    assert "data:audio" not in page
    assert data_of(page)["curves"]
    assert '<html lang="en">' in page


def test_many_are_in_the_language_of_most() -> None:
    talks = [
        scene_events("How do you plan your routes today?", language="en", locale="en-GB", number=n) for n in (1, 2)
    ]
    talks.append(scene_events("Hoe plant u vandaag uw ritten?", number=3))
    bad: list[tuple[str, str]] = []

    def read():  # type: ignore[no-untyped-def]
        yield from (recorded(events) for events in talks)
        bad.append(("01jd0000000000000000000009", "is cut off"))

    page = report_recordings("calls", read(), None, Grouping(), bad, detector=rule_detector())
    assert '<html lang="en">' in page
    assert "is cut off" in page  # what turns out bad while reading is told
    assert len(data_of(page)["recordings"]) == 3  # type: ignore[arg-type]
