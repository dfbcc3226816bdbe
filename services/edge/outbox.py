"""What waits for a slow client, within bounds: late audio gives way, everything else is kept. Pure.

A client that does not even take the messages that are kept is too slow to be served.
"""

from __future__ import annotations

from collections import deque

from shared.wire import AudioFrame

Item = AudioFrame | bytes

_HEADER_SMALL = 126
_HEADER_MEDIUM = 65_536


class Outbox:
    """Messages and frames in the order of sending. Audio waits for `max_wait_s`; `max_bytes` of all else.

    By time, not by number: after a takeover or a Redis that was away many frames come at once, and a client that reads
    takes them at once. `max_frames` only bounds what that may cost.
    """

    def __init__(self, max_wait_s: float = 2.0, max_frames: int = 250, max_bytes: int = 512 * 1024) -> None:
        self.shed_frames = 0
        self._max_wait_s = max_wait_s
        self._max_frames = max_frames
        self._max_bytes = max_bytes
        self._items: deque[Item] = deque()
        self._since: deque[float] = deque()
        self._n_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def put_audio(self, frame: AudioFrame, now_s: float) -> None:
        """Append a frame; those that wait for too long by now are dropped and counted in `shed_frames`."""
        since = self._since
        while since and (now_s - since[0] > self._max_wait_s or len(since) >= self._max_frames):
            self._drop_oldest()
        self._items.append(frame)
        since.append(now_s)

    def put(self, message: bytes) -> bool:
        """Append a message that may not be lost; false if the bound is reached: the client is too slow."""
        if self._n_bytes + len(message) > self._max_bytes:
            return False
        self._items.append(message)
        self._n_bytes += len(message)
        return True

    def take(self) -> Item:
        """Remove and return the oldest. Raises IndexError when empty."""
        item = self._items.popleft()
        if isinstance(item, AudioFrame):
            self._since.popleft()
        else:
            self._n_bytes -= len(item)
        return item

    def _drop_oldest(self) -> None:
        for index, item in enumerate(self._items):
            if isinstance(item, AudioFrame):
                del self._items[index]
                self._since.popleft()
                self.shed_frames += 1
                return


def websocket_frame(payload: bytes) -> bytes:
    """Return an unmasked, final binary WebSocket frame (RFC 6455 5.2), ready for the transport."""
    size = len(payload)
    if size < _HEADER_SMALL:
        return bytes((0x82, size)) + payload
    if size < _HEADER_MEDIUM:
        return b"\x82\x7e" + size.to_bytes(2, "big") + payload
    return b"\x82\x7f" + size.to_bytes(8, "big") + payload
