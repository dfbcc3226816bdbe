"""The supervised client against real processes: kill them, freeze them, and look at what callers get."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path

import pytest

from services.voice_worker.speech.host_life import HostSpec
from services.voice_worker.speech.host_process import HostProcess
from shared.errors import ModelCorrupt, Overloaded, SpeechError, SpeechHostDied

Make = Callable[[HostSpec], HostProcess]


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def marked(path: Path) -> None:
    """Wait for a host to leave its mark."""
    async with asyncio.timeout(10):
        while not await asyncio.to_thread(path.exists):
            await asyncio.sleep(0.005)


async def gone(pid: int) -> None:
    async with asyncio.timeout(10):
        while alive(pid):
            await asyncio.sleep(0.005)


async def test_requests_and_streams_are_answered(host: HostProcess) -> None:
    answers = await asyncio.gather(*(host.request("echo", {"value": n}, timeout_s=10) for n in range(4)))
    assert [answer["value"] for answer in answers] == [0, 1, 2, 3]
    async with aclosing(host.stream("count", {"n": 20}, timeout_s=10)) as chunks:
        assert [chunk["number"] async for chunk in chunks] == list(range(20))


async def test_a_killed_host_comes_back_and_the_request_is_repeated(host: HostProcess) -> None:
    first = host.pid
    answer = await host.request("once", {"mark": "died"}, timeout_s=20)
    assert answer["value"] == "second"
    assert host.pid != first
    assert host.restarts == 1


async def test_a_request_that_kills_every_host_fails(host: HostProcess) -> None:
    async with aclosing(host.stream("die", {}, timeout_s=20)) as chunks:
        assert (await anext(chunks))["number"] == 0
        with pytest.raises(SpeechHostDied):
            await anext(chunks)
    assert (await host.request("echo", {"value": 1}, timeout_s=20))["value"] == 1


async def test_sigkill_between_two_requests_is_not_noticed_by_callers(host: HostProcess) -> None:
    assert host.pid is not None
    os.kill(host.pid, signal.SIGKILL)
    assert (await host.request("echo", {"value": "back"}, timeout_s=20))["value"] == "back"


async def test_a_silent_host_is_ended_and_started_again(host: HostProcess) -> None:
    assert (first := host.pid) is not None
    with pytest.raises(SpeechError, match="no answer in"):
        await host.request("hang", {}, timeout_s=0.3)
    assert (await host.request("echo", {"value": 1}, timeout_s=20))["value"] == 1
    assert not alive(first)


async def test_leaving_a_stream_stops_the_work_in_the_host(host: HostProcess, tmp_path: Path) -> None:
    async with aclosing(host.stream("endless", {}, timeout_s=10)) as chunks:
        async for chunk in chunks:
            if chunk["number"] == 3:
                break
    await marked(tmp_path / "stopped")
    assert (await host.request("echo", {"value": 1}, timeout_s=10))["value"] == 1
    assert host.restarts == 0


async def test_a_caller_that_takes_nothing_loses_its_stream_only(host: HostProcess, tmp_path: Path) -> None:
    async with aclosing(host.stream("endless", {}, timeout_s=10)) as chunks:
        await anext(chunks)
        await marked(tmp_path / "stopped")
        with pytest.raises(SpeechError, match="were not taken"):
            async for _ in chunks:
                pass
    assert (await host.request("echo", {"value": 1}, timeout_s=10))["value"] == 1
    assert host.restarts == 0


async def test_a_cancelled_request_frees_its_place(make_host: Make, spec: HostSpec, tmp_path: Path) -> None:
    host = make_host(replace(spec, parallel=1))
    await host.start()
    task = asyncio.create_task(host.request("hang", {}, timeout_s=30))
    await marked(tmp_path / "hangs")
    task.cancel()
    await asyncio.wait([task])
    with pytest.raises(SpeechError, match="no answer in"):  # it got the place; the thread still hangs
        await host.request("echo", {"value": 1}, timeout_s=0.3)
    assert (await host.request("echo", {"value": 2}, timeout_s=20))["value"] == 2


async def test_too_many_callers_are_refused(make_host: Make, spec: HostSpec) -> None:
    host = make_host(replace(spec, parallel=1, max_waiting=1))
    await host.start()
    async with aclosing(host.stream("count", {"n": 3}, timeout_s=10)) as chunks:
        await anext(chunks)
        waiting = asyncio.create_task(host.request("echo", {"value": 1}, timeout_s=10))
        await asyncio.sleep(0)
        with pytest.raises(Overloaded):
            await host.request("echo", {"value": 2}, timeout_s=10)
        assert [chunk["number"] async for chunk in chunks] == [1, 2]
    assert (await waiting)["value"] == 1


async def test_an_exception_in_a_model_does_not_repeat_what_was_said(host: HostProcess) -> None:
    with pytest.raises(SpeechError) as caught:
        await host.request("raises", {}, timeout_s=10)
    assert "ValueError" in str(caught.value)
    assert "secret" not in str(caught.value)


async def test_an_unknown_operation_and_a_huge_answer_are_errors(host: HostProcess) -> None:
    with pytest.raises(SpeechError, match="no operation"):
        await host.request("sing", {}, timeout_s=10)
    with pytest.raises(SpeechError, match="exceeds"):
        await host.request("flood", {}, timeout_s=10)


async def test_a_corrupt_model_stops_the_start_and_a_mended_one_lets_it(
    make_host: Make, spec: HostSpec, tmp_path: Path
) -> None:
    (tmp_path / "corrupt").touch()
    host = make_host(spec)
    with pytest.raises(ModelCorrupt):
        await host.start()
    assert host.pid is None
    (tmp_path / "corrupt").unlink()
    await host.start()
    assert (await host.request("echo", {"value": 1}, timeout_s=10))["value"] == 1


async def test_a_host_that_dies_again_and_again_fails_fast(make_host: Make, spec: HostSpec, tmp_path: Path) -> None:
    host = make_host(spec)
    await host.start()
    (tmp_path / "die").touch()
    assert host.pid is not None
    os.kill(host.pid, signal.SIGKILL)
    with pytest.raises(SpeechError, match="ended while it started"):
        await host.request("echo", {"value": 1}, timeout_s=20)
    (tmp_path / "die").unlink()


async def test_closing_ends_the_process_and_its_callers(host: HostProcess, tmp_path: Path) -> None:
    assert (pid := host.pid) is not None
    task = asyncio.create_task(host.request("hang", {}, timeout_s=30))
    await marked(tmp_path / "hangs")
    await host.aclose()
    assert not alive(pid)
    with pytest.raises(SpeechError):
        await task
    with pytest.raises(SpeechError, match="was closed"):
        await host.start()
    await host.aclose()


async def test_a_host_ends_when_its_parent_is_killed(spec: HostSpec, tmp_path: Path) -> None:
    script = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from services.voice_worker.speech.host_life import HostSpec\n"
        "from services.voice_worker.speech.host_process import HostProcess\n"
        "async def main():\n"
        f"    host = HostProcess(HostSpec('fake', program={spec.program!r}), Path({str(tmp_path)!r}))\n"
        "    await host.start()\n"
        "    print(host.pid, flush=True)\n"
        "    await host.request('hang', {}, timeout_s=60)\n"
        "asyncio.run(main())\n"
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    pid = int(await parent.stdout.readline())
    await marked(tmp_path / "hangs")
    parent.kill()
    await parent.wait()
    await gone(pid)
