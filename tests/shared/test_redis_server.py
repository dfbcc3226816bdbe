"""The server for tests and for one machine: it starts, keeps what it is told to, and never outlives its parent."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import redis

from shared import redis_server
from shared.errors import BrokerError
from shared.redis_server import RedisServer, find_redis_binary, free_port


def is_gone(pid: int) -> bool:
    """True if no process has this id, or only its remains that nobody has waited for yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_gone(pid: int) -> None:
    """Return when the process has ended; a pidfd says so without polling."""
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        import select

        assert select.select([handle], [], [], 10)[0], "the server outlived its parent"
    finally:
        os.close(handle)


def ask(server: RedisServer) -> redis.Redis:
    return redis.Redis(port=server.port, socket_timeout=5)


def test_it_answers_and_nothing_is_left_of_it() -> None:
    with RedisServer() as server:
        assert server.process is not None
        pid = server.process.pid
        with ask(server) as client:
            assert client.set("a", "1")
            assert client.config_get("bind")["bind"] == "127.0.0.1"
        assert server.folder.is_dir()
    assert is_gone(pid)
    assert not server.folder.exists()


def test_an_append_only_server_remembers_after_a_kill(tmp_path: Path) -> None:
    server = RedisServer(append_only=True, folder=tmp_path)
    with server:
        with ask(server) as client:
            client.config_set("appendfsync", "always")
            client.set("a", "1")
        server.kill()
        server.start()
        with ask(server) as client:
            assert client.get("a") == b"1"
    assert tmp_path.is_dir()


def test_a_port_that_another_server_took_is_not_mistaken_for_ours() -> None:
    with RedisServer() as other, pytest.raises(BrokerError, match="did not start"):
        RedisServer(port=other.port).start()


def test_a_port_that_answers_something_else_is_no_server(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_server, "START_LIMIT_S", 0.5)

    def answer() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                connection.recv(100)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer)
        thread.start()
        with pytest.raises(BrokerError):
            RedisServer(port=listener.getsockname()[1]).start()
        listener.shutdown(socket.SHUT_RDWR)
    thread.join(10)
    assert not thread.is_alive()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the kernel's parent-death signal is Linux's")
def test_it_dies_with_a_parent_that_was_killed() -> None:
    code = (
        "from shared.redis_server import RedisServer; server = RedisServer().start();"
        "print(server.process.pid, server.folder, flush=True); import signal; signal.pause()"
    )
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    try:
        pid, folder = parent.stdout.readline().split()
        assert not is_gone(int(pid))
        parent.send_signal(signal.SIGKILL)
        parent.wait(10)
        wait_gone(int(pid))
    finally:
        parent.kill()
        parent.stdout.close()
    for left in Path(folder).glob("*"):
        left.unlink()
    Path(folder).rmdir()


def test_without_a_binary_the_message_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    assert os.access(find_redis_binary(), os.X_OK)
    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(BrokerError, match="SPLITBRAIN_REDIS_URL"):
        find_redis_binary()


def test_free_ports_are_free() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass
