from __future__ import annotations

from importlib.metadata import PackageNotFoundError

import pytest

from shared import version


def test_the_version_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    assert version.package_version() == "0.1.0"

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(version, "version", missing)
    assert version.package_version() == "unknown"
