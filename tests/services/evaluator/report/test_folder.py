"""The page about many recordings: order, groups, techniques, what could not be read."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from services.evaluator.report.folder import Grouping, folder_page
from services.evaluator.report.summary import Summary, summary_of
from services.evaluator.report.texts import Words
from tests.services.evaluator.recorded_talks import role_play_view


@pytest.fixture(scope="module")
def many() -> list[Summary]:
    one = summary_of(role_play_view())
    return [
        replace(
            one,
            id=f"01jd{n:022d}",
            started_wall_ms=one.started_wall_ms + (7 - n) * 86_400_000,
            engine="cascade" if n % 2 else "echo",
            values={**one.values, "talk_share": 0.3 + n / 20},
        )
        for n in range(8)
    ]


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'id="data">(.*?)</script>', page, flags=re.DOTALL)
    assert found
    return json.loads(found[1])  # type: ignore[no-any-return]


def test_recordings_stand_in_order_of_time(many: list[Summary]) -> None:
    data = data_of(folder_page("calls", many, Words("nl")))
    starts = [each["started"] for each in data["recordings"]]
    assert starts == sorted(starts)
    assert {each["group"] for each in data["recordings"]} == {"cascade", "echo"}
    assert len(data["comparison"]) >= 10


def test_a_list_of_groups_goes_before_what_is_known(many: list[Summary]) -> None:
    listed = {each.id: "trained" if n < 4 else "untrained" for n, each in enumerate(many)}
    page = folder_page("calls", many, Words("en"), Grouping(listed=listed))
    assert "trained (4) / untrained (4)" in page
    assert '<tr class="sure"><td>Seller&#39;s share of the talking' in page


def test_an_imported_call_is_listed_by_its_file(many: list[Summary]) -> None:
    calls = [replace(each, imported_from=f"call{n}.wav") for n, each in enumerate(many)]
    listed = {f"call{n}.wav": "north" if n < 4 else "south" for n in range(8)}
    assert "north (4) / south (4)" in folder_page("calls", calls, Words("en"), Grouping(listed=listed))


def test_techniques_and_errors_are_counted(many: list[Summary]) -> None:
    data = data_of(folder_page("calls", many, Words("nl")))
    assert len(data["methods"]["columns"]) == 8
    assert {quality for _, _, quality in data["methods"]["cells"]} <= {"ok", "partial", "missed"}
    assert data["errors"][0][1:] == [8, 8]


def test_without_groups_it_says_so(many: list[Summary]) -> None:
    assert "Geen twee groepen" in folder_page("calls", many[:1], Words("nl"))


def test_an_empty_folder_and_bad_ones_are_shown() -> None:
    page = folder_page("calls", [], Words("en"), bad=[("01jd", "<b>is cut off</b>")])
    assert "&lt;b&gt;is cut off" in page
    assert 'id="chart-trend"' not in page


def test_the_pace_has_no_good_zone_where_languages_differ(many: list[Summary]) -> None:
    mixed = [replace(many[0], language="en", locale="en-GB"), *many[1:]]
    assert data_of(folder_page("calls", mixed, Words("nl")))["scales"]["pace_words"]["good"] is None
    assert data_of(folder_page("calls", many, Words("nl")))["scales"]["pace_words"]["good"] == [120, 175]
