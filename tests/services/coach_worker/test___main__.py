"""The coach as a process."""

from __future__ import annotations

import pytest

from services.coach_worker.__main__ import main


def test_check_says_what_it_would_run_with(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_COACH_BRAIN", "policy")
    assert main(["--check"]) == 0
    assert "brain policy" in capsys.readouterr().out


def test_wrong_settings_end_with_code_two(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPLITBRAIN_COACH_MAX_SESSIONS", "many")
    assert main(["--check"]) == 2
    assert "SPLITBRAIN_COACH_MAX_SESSIONS" in capsys.readouterr().err
