"""The version of the installed package."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def package_version() -> str:
    """Return the installed version; "unknown" where the package's metadata is not there."""
    try:
        return version("splitbrain")
    except PackageNotFoundError:
        return "unknown"
