"""Where a running `splitbrain up` can be found: one small file per process, for its own user only."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from services.command_line.exits import CommandError, Exit


@dataclass(frozen=True, slots=True)
class RunInfo:
    """A running `up`. `born` tells its pid from a later process with the same one."""

    pid: int
    born: str
    url: str
    redis_url: str


def run_folder() -> Path:
    """Return the folder of the run files: under XDG_RUNTIME_DIR, else a private one in the temporary folder."""
    base = os.environ.get("XDG_RUNTIME_DIR")
    if base and Path(base).is_dir():
        return Path(base) / "splitbrain"
    return Path(tempfile.gettempdir()) / f"splitbrain-{os.getuid()}"


def write_run_file(url: str, redis_url: str) -> Path:
    """Write this process's file (mode 0600) and return its path; the caller removes it at the end."""
    folder = run_folder()
    folder.mkdir(mode=0o700, exist_ok=True)
    _check_private(folder)
    path = folder / f"up-{os.getpid()}.json"
    path.unlink(missing_ok=True)
    info = RunInfo(os.getpid(), _born(os.getpid()), url, redis_url)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(info), file)
    return path


def running() -> list[RunInfo]:
    """Return the `up` processes of this user that live; files of dead ones are removed."""
    folder = run_folder()
    if not folder.is_dir():
        return []
    _check_private(folder)
    found: list[RunInfo] = []
    for path in sorted(folder.glob("up-*.json")):
        info = _read(path)
        if info is not None and _born(info.pid) == info.born:
            found.append(info)
        else:
            with suppress(OSError):
                path.unlink()
    return found


def redis_url_of_running(given: str | None) -> str:
    """Return the Redis URL to look at: the given one, the environment's, else that of the running `up`.

    CommandError if there is none, or more than one `up`.
    """
    chosen = given or os.environ.get("SPLITBRAIN_REDIS_URL")
    if chosen:
        return chosen
    found = _the_only_one("--redis-url", lambda info: f"{info.redis_url} (up {info.pid}, {info.url})")
    if found is None:
        raise CommandError(
            Exit.UNREACHABLE,
            "no `splitbrain up` of yours is running; for another deployment set SPLITBRAIN_REDIS_URL or --redis-url",
        )
    return found.redis_url


def edge_url_of_running(default: str) -> str:
    """Return the address of the running `up`; `default` if there is none. CommandError if there is more than one."""
    found = _the_only_one("--url", lambda info: f"{info.url} (up {info.pid})")
    return found.url if found else default


def _the_only_one(option: str, describe: Callable[[RunInfo], str]) -> RunInfo | None:
    found = running()
    if len(found) > 1:
        choice = ", ".join(describe(info) for info in found)
        raise CommandError(Exit.USAGE, f"more than one `splitbrain up` is running; choose by {option}: {choice}")
    return found[0] if found else None


def _read(path: Path) -> RunInfo | None:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        return RunInfo(int(value["pid"]), str(value["born"]), str(value["url"]), str(value["redis_url"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _check_private(folder: Path) -> None:
    """Refuse a folder that another user could have laid out: the file in it names a server to trust."""
    state = folder.lstat()
    if not stat.S_ISDIR(state.st_mode) or state.st_uid != os.getuid() or state.st_mode & 0o077:
        raise CommandError(Exit.USAGE, f"{folder} must be a folder of yours with mode 0700: remove it and try again")


def _born(pid: int) -> str:
    """Return when the process began, in the kernel's ticks ("" if it is gone; its pid where there is no /proc)."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return text.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        pass
    if Path("/proc/self/stat").exists():
        return ""
    try:
        os.kill(pid, 0)
    except OSError:
        return ""
    return str(pid)
