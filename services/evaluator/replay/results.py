"""What evaluating recordings left in a folder: one subfolder for each version, in it a scorecard for each recording.

    RESULTS/1.1.0-3f2a90c1d7be/run.json                       what all cards in it rest on
    RESULTS/1.1.0-3f2a90c1d7be/<recording>/scorecard.json     canonical JSON, the bytes of the card
    RESULTS/1.1.0-3f2a90c1d7be/<recording>/source.json        written last: which events it was made from

The door to these files. Each file is put in place at once or not at all, and twice is the same as once.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from services.evaluator.judge.prompts import prompt_hash
from services.evaluator.judge.settings import JudgeSettings
from services.evaluator.recording.manifest import RecordingError, check_id
from services.evaluator.replay.in_process import Agreement, Replayed
from services.evaluator.scorecard import EVALUATOR_VERSION, canonical_json
from shared.coaching.detection import Detector
from shared.coaching.knowledge import Knowledge
from shared.errors import BadInput

RUN_SCHEMA = "splitbrain.run/1"
RUN = "run.json"
CARD = "scorecard.json"
SOURCE = "source.json"

MAX_BYTES = 4 << 20


@dataclass(frozen=True, slots=True)
class RunVersion:
    """What the cards of a run rest on: the same recording and the same version, the same bytes.

    `judge` names the model that judged a second time, with its seed and the hash of what it was told; "" for none.
    """

    evaluator_version: str
    knowledge_version: str
    knowledge_hash: str
    detector: str
    judge: str = ""

    @property
    def key(self) -> str:
        """Name of the run's folder."""
        digest = hashlib.sha256(canonical_json(asdict(self))).hexdigest()
        return f"{self.evaluator_version}-{digest[:12]}"


def version_now(knowledge: Knowledge, detector: Detector, judge: JudgeSettings | None = None) -> RunVersion:
    """Return the version of what is installed here, with the judge that is set."""
    by = f"{judge.model}:{judge.seed}:{prompt_hash()[:12]}" if judge else ""
    return RunVersion(EVALUATOR_VERSION, knowledge.version, knowledge.knowledge_hash, detector.version, by)


@dataclass(frozen=True, slots=True)
class Source:
    """What a result was made from: the hash of the events, their length, how the card agrees with the recorded one."""

    events_sha256: str
    media_ms: int
    agreement: Agreement


class Results:
    """The results of one version below a folder."""

    def __init__(self, folder: Path, version: RunVersion) -> None:
        self.version = version
        self.folder = folder / version.key

    def open(self) -> None:
        """Make the folder, with its `run.json`. Raises OSError."""
        _make_private(self.folder)
        _write(self.folder / RUN, canonical_json({"schema": RUN_SCHEMA, **asdict(self.version)}))

    def source(self, recording_id: str) -> Source | None:
        """Return where a recording's result comes from; None if there is no whole result."""
        try:
            value = json.loads((self.folder / check_id(recording_id) / SOURCE).read_bytes())
            found = Source(**value)
        except (OSError, ValueError, TypeError):
            return None
        return found if (self.folder / recording_id / CARD).is_file() else None

    def put(self, replayed: Replayed, events_sha256: str, media_ms: int) -> None:
        """Keep a result. Raises OSError."""
        folder = self.folder / check_id(replayed.recording_id)
        _make_private(folder)
        _write(folder / CARD, replayed.card)
        _write(folder / SOURCE, canonical_json(asdict(Source(events_sha256, media_ms, replayed.agreement))))

    def card(self, recording_id: str) -> dict[str, Any]:
        """Return a scorecard. Raises BadInput where it cannot be read."""
        return _card(self.folder / check_id(recording_id) / CARD)


@dataclass(frozen=True, slots=True)
class Run:
    """All results of one version: scorecards by recording."""

    name: str
    version: Mapping[str, Any]
    cards: Mapping[str, Mapping[str, Any]]


def read_run(path: Path) -> Run:
    """Return a run: the folder of a version, or a results folder that holds a single one. Raises BadInput."""
    folder = _the_run_in(path)
    version = _json(folder / RUN)
    if not isinstance(version, dict) or version.get("schema") != RUN_SCHEMA:
        raise BadInput("bad_run", f"{folder / RUN} is not of schema {RUN_SCHEMA}")
    cards = {
        each.name: _card(each / CARD)
        for each in sorted(folder.iterdir())
        if _is_recording(each.name) and (each / SOURCE).is_file()
    }
    return Run(str(path), {name: value for name, value in version.items() if name != "schema"}, cards)


def _the_run_in(path: Path) -> Path:
    if (path / RUN).is_file():
        return path
    try:
        found = sorted(each for each in path.iterdir() if (each / RUN).is_file())
    except OSError as error:
        raise BadInput("bad_run", f"{path} cannot be read: {error.strerror or error}") from error
    if len(found) == 1:
        return found[0]
    if not found:
        raise BadInput("bad_run", f"{path} holds no results of `splitbrain evaluate --out`")
    names = ", ".join(each.name for each in found)
    raise BadInput("bad_run", f"{path} holds results of several versions: name one of them ({names})")


def _is_recording(name: str) -> bool:
    try:
        check_id(name)
    except RecordingError:
        return False
    return True


def _card(path: Path) -> dict[str, Any]:
    value = _json(path)
    if not isinstance(value, dict) or not str(value.get("schema", "")).startswith("splitbrain.scorecard/"):
        raise BadInput("bad_run", f"{path} is no scorecard")
    return value


def _json(path: Path) -> Any:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
        if len(data) > MAX_BYTES:
            raise BadInput("bad_run", f"{path} has more than {MAX_BYTES} bytes")
        return json.loads(data)
    except (OSError, ValueError, RecursionError) as error:
        raise BadInput("bad_run", f"{path} cannot be read: {error}") from error


def _make_private(folder: Path) -> None:
    """Make the folder: what was said in a talk is quoted in it, so it is for this user only."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def _write(path: Path, data: bytes) -> None:
    """Put a file in place at once. Two processes that write the same bytes do not disturb each other."""
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    with open(part, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
