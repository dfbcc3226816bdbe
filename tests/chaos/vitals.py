"""What the processes of a world hold at a moment: memory, descriptors, threads; what Redis says of itself (Linux)."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from tests.chaos.soak_figures import Name
from tests.chaos.world import World

_PROC = Path("/proc")
_KIB_IN_MB = 1024


async def sample(world: World) -> dict[Name, float]:
    """Return (process, figure) -> value for all of a world, the children of its voice workers and Redis too."""
    found: dict[Name, float] = {}
    for label, pid in processes(world).items():
        found |= {(label, figure): value for figure, value in of_process(pid).items()}
    return found | {("redis", figure): value for figure, value in (await _of_redis(world.redis)).items()}


def processes(world: World) -> dict[str, int]:
    """Return label -> process id of all that runs now."""
    found = {label: process.pid for label, process in world.processes.items() if process.pid}
    parents = {pid: label for label, pid in found.items()}
    n_of: Counter[str] = Counter()
    for pid, parent, command in _children(set(parents)):
        module = next((word for word in command if word.startswith("services.")), command[0] if command else "?")
        label = f"{parents[parent]} {module.rpartition('.')[2]}"
        n_of[label] += 1
        found[label if n_of[label] == 1 else f"{label} {n_of[label]}"] = pid
    if world.server.process:
        found["redis"] = world.server.process.pid
    return found


def _children(parents: set[int]) -> list[tuple[int, int, list[str]]]:
    """Return (process id, parent, command) of the children, oldest first."""
    found = []
    for entry in _PROC.iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError, ValueError, IndexError):
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if parent in parents:
                command = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
                found.append((int(entry.name), parent, command))
    return sorted(found)


def of_process(pid: int) -> dict[str, float]:
    """Return the figures of one process, none where it is gone. USS is what would be free again without it."""
    found: dict[str, float] = {}
    with suppress(OSError, KeyError, ValueError):
        rollup = _fields(_PROC / str(pid) / "smaps_rollup")
        found["rss MB"] = rollup["Rss"] / _KIB_IN_MB
        found["uss MB"] = (rollup["Private_Clean"] + rollup["Private_Dirty"]) / _KIB_IN_MB
        found["pss MB"] = rollup["Pss"] / _KIB_IN_MB
        found["descriptors"] = float(len(os.listdir(f"/proc/{pid}/fd")))
        found["threads"] = float(_fields(_PROC / str(pid) / "status")["Threads"])
    return found


def _fields(path: Path) -> dict[str, int]:
    """Return name -> number of the lines "Name:   123 kB"."""
    parts = (line.split() for line in path.read_text().splitlines())
    return {words[0].rstrip(":"): int(words[1]) for words in parts if len(words) > 1 and words[1].isdigit()}


async def _of_redis(redis: Any) -> dict[str, float]:
    info = await redis.info()
    return {
        "keys": float(await redis.dbsize()),
        "used MB": info["used_memory"] / (1 << 20),
        "used_rss MB": info["used_memory_rss"] / (1 << 20),
        "clients": float(info["connected_clients"]),
    }


async def bytes_of_keys(redis: Any, keys: tuple[str, ...]) -> int:
    """Return the bytes that Redis holds for these keys."""
    sizes = [await redis.memory_usage(key, samples=0) for key in keys]
    return sum(size or 0 for size in sizes)
