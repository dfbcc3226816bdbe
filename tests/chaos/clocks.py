"""Wall clocks that can be set, one for each process, by Debian's libfaketime; the monotonic clock is left alone.

A clock that jumps is one that somebody, or a time server, sets: what waits goes on waiting for as long as before.
"""

from __future__ import annotations

from pathlib import Path

from shared.errors import ConfigError
from shared.redis_server import RedisServer

_LIBRARY = "faketime/libfaketime.so.1"


def find_library() -> Path | None:
    """Return libfaketime, None where it is not installed."""
    return next(iter(sorted(Path("/usr/lib").glob(f"*/{_LIBRARY}"))), None)


class WallClock:
    """The wall clock of one process, which is given `environment`. Made anew it is right."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self.set(0.0)

    @property
    def environment(self) -> dict[str, str]:
        """What the process must have in its environment. ConfigError where libfaketime is missing."""
        library = find_library()
        if library is None:
            raise ConfigError("a clock can jump with libfaketime only: bash scripts/setup_system.sh")
        return {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            # Read at each look at the clock: 4 us each, and the moment of a jump is exact. Else it would be looked
            # at once a second.
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, ahead_s: float) -> None:
        """Let the clock be so many seconds ahead of the machine's, from now on; negative: behind."""
        self.ahead_s = ahead_s
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:+.3f}\n")
        new.replace(self._file)  # at once: nobody reads half a file


class ClockedRedis(RedisServer):
    """A Redis with an append-only file whose wall clock can be set."""

    def __init__(self, folder: Path, clock: WallClock) -> None:
        super().__init__(append_only=True, folder=folder)
        self._clock = clock

    def _launch(self, command: list[str]) -> RedisServer:
        # `env` becomes the server, with the same process id.
        return super()._launch(
            ["env", *(f"{name}={value}" for name, value in self._clock.environment.items()), *command]
        )
