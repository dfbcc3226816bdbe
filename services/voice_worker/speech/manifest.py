"""Reads `models.toml`: which models there are, of which files, and what each file must hash to. Pure."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from shared.errors import ConfigError

MANIFEST_VERSION = 1
OWN_PACKAGE = "splitbrain"


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of a model file: a file inside an installed package. Version is empty for what this package ships."""

    package: str
    version: str
    path: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """One file of a model. The parts, joined in order, have `size_bytes` and `sha256` (hex)."""

    name: str
    size_bytes: int
    sha256: str
    parts: tuple[Part, ...]
    required: bool


@dataclass(frozen=True, slots=True)
class Model:
    """A model as the manifest knows it. Language "*" stands for all that the model happens to know."""

    name: str
    purpose: str
    languages: tuple[str, ...]
    licence: str
    origin: str
    optional: bool
    files: tuple[ModelFile, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes on disk when installed."""
        return sum(file.size_bytes for file in self.files)


@cache
def manifest() -> tuple[Model, ...]:
    """Return the models of `models.toml` in its order."""
    return parse(files("services.voice_worker.speech").joinpath("models.toml").read_text(encoding="utf-8"))


def model(name: str) -> Model:
    """Return the model called `name`. ConfigError names those there are."""
    for entry in manifest():
        if entry.name == name:
            return entry
    raise ConfigError(f"there is no model {name!r}; known: {', '.join(entry.name for entry in manifest())}")


def parse(text: str) -> tuple[Model, ...]:
    """Return the models in a manifest. ConfigError says which entry is wrong."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"the model manifest is not TOML: {error}") from error
    if data.get("version") != MANIFEST_VERSION:
        raise ConfigError(f"the model manifest has version {data.get('version')!r}, not {MANIFEST_VERSION}")
    models = tuple(_model(entry) for entry in data.get("models", []))
    names = [entry.name for entry in models]
    if len(set(names)) != len(names):
        raise ConfigError("the model manifest names a model twice")
    return models


def _model(entry: dict[str, Any]) -> Model:
    try:
        return Model(
            name=_plain(entry["name"]),
            purpose=str(entry["purpose"]),
            languages=tuple(str(language) for language in entry["languages"]),
            licence=str(entry["licence"]),
            origin=str(entry["origin"]),
            optional=bool(entry.get("optional", False)),
            files=tuple(_file(file) for file in entry["files"]),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"model {entry.get('name', '?')!r} in the manifest is wrong: {error!r}") from error


def _file(entry: dict[str, Any]) -> ModelFile:
    sha256 = str(entry["sha256"])
    if len(sha256) != 64 or set(sha256) - set("0123456789abcdef"):
        raise ValueError(f"sha256 of {entry['name']} is not 64 hexadecimal digits")
    return ModelFile(
        name=_plain(entry["name"]),
        size_bytes=int(entry["size_bytes"]),
        sha256=sha256,
        parts=tuple(_part(part) for part in entry["parts"]),
        required=bool(entry.get("required", True)),
    )


def _part(text: str) -> Part:
    requirement, _, path = text.partition(":")
    package, _, version = requirement.partition("==")
    if not path or path.startswith("/") or ".." in path.split("/"):
        raise ValueError(f"part {text!r} is not 'package==version:path/inside'")
    if not version and package != OWN_PACKAGE:
        raise ValueError(f"part {text!r} pins no version")
    return Part(package, version, path)


def _plain(name: str) -> str:
    if not name or "/" in name or name.startswith("."):
        raise ValueError(f"{name!r} is not a plain file name")
    return name
