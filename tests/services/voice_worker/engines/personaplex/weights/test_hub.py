"""The door to a model hub, against a local one that speaks its protocol: what is stated, fetched, and refused."""

from __future__ import annotations

import hashlib
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from services.voice_worker.engines.personaplex.weights.hub import MAX_BREAKS, Hub
from shared.errors import ConfigError, ModelCorrupt, ModelMissing

if TYPE_CHECKING:
    from tests.services.conftest import FakeHub

TOKENIZER = "tokenizer_spm_32k_3.model"
MODEL = "model.safetensors"


@pytest.fixture
def door(hub: FakeHub) -> Iterator[Hub]:
    with closing(Hub(hub.repo, "main", hub.token)) as opened:
        yield opened


def test_what_is_stated(hub: FakeHub, door: Hub) -> None:
    hub.small = {TOKENIZER}
    model, tokenizer = door.files((MODEL, TOKENIZER))
    assert (model.n_bytes, model.commit) == (len(hub.files[MODEL]), hub.commit)
    assert model.is_sha256
    assert model.etag == hashlib.sha256(hub.files[MODEL]).hexdigest()
    assert not tokenizer.is_sha256


def test_all_files_are_of_one_commit(hub: FakeHub, door: Hub) -> None:
    door.files((TOKENIZER, MODEL))
    asked = [path for method, path, _, _ in hub.asked if method == "HEAD"]
    assert asked[-1] == f"/{hub.repo}/resolve/{hub.commit}/{MODEL}"


def test_a_file_comes_whole_and_the_token_stays_with_the_hub(hub: FakeHub, door: Hub, tmp_path: Path) -> None:
    (file,) = door.files((MODEL,))
    assert door.download(file, tmp_path).read_bytes() == hub.files[MODEL]
    assert door.n_bytes_there(file, tmp_path) == file.n_bytes
    tokens = {(path.startswith("/cdn"), token) for _, path, token, _ in hub.asked}
    assert tokens == {(False, ""), (False, f"Bearer {hub.token}"), (True, "")}


def test_a_transfer_that_breaks_off_goes_on_where_it_stopped(hub: FakeHub, door: Hub, tmp_path: Path) -> None:
    (file,) = door.files((MODEL,))
    hub.broken_off = 2
    assert door.download(file, tmp_path).read_bytes() == hub.files[MODEL]
    assert hub.ranges == ["", "bytes=20000-", "bytes=30000-"]


def test_one_that_breaks_off_again_and_again_leaves_what_came(hub: FakeHub, door: Hub, tmp_path: Path) -> None:
    (file,) = door.files((MODEL,))
    hub.broken_off = MAX_BREAKS + 1
    with pytest.raises(ModelMissing, match="goes on where it stopped"):
        door.download(file, tmp_path)
    there = door.n_bytes_there(file, tmp_path)
    assert 0 < there < file.n_bytes
    assert not (tmp_path / MODEL).exists()
    assert door.download(file, tmp_path).read_bytes() == hub.files[MODEL]
    assert hub.ranges[-1] == f"bytes={there}-"


def test_another_length_than_stated_leaves_nothing(hub: FakeHub, door: Hub, tmp_path: Path) -> None:
    hub.stated_sizes[MODEL] = 50_000
    (file,) = door.files((MODEL,))
    for _ in range(2):  # the end came early; then there would be nothing to go on with
        with pytest.raises(ModelCorrupt, match="50000 bytes"):
            door.download(file, tmp_path)
        assert door.n_bytes_there(file, tmp_path) == 0


def test_more_bytes_than_there_are_to_come(hub: FakeHub, door: Hub, tmp_path: Path) -> None:
    (file,) = door.files((MODEL,))
    hub.broken_off = MAX_BREAKS + 1
    with pytest.raises(ModelMissing):
        door.download(file, tmp_path)
    (piece,) = (tmp_path / ".cache").rglob("*.incomplete")
    piece.write_bytes(bytes(file.n_bytes + 1))
    with pytest.raises(ModelCorrupt):
        door.download(file, tmp_path)
    assert door.download(file, tmp_path).read_bytes() == hub.files[MODEL]


def without_licence(hub: FakeHub) -> Hub:
    hub.accepted = False
    return Hub(hub.repo, "main", hub.token)


def without_permission(hub: FakeHub) -> Hub:
    hub.may_read_gated = False
    return Hub(hub.repo, "main", hub.token)


def without_file(hub: FakeHub) -> Hub:
    del hub.files[MODEL]
    return Hub(hub.repo, "main", hub.token)


@pytest.mark.parametrize(
    ("opened", "message"),
    [
        (without_licence, "licence .* is not accepted by the owner of HF_TOKEN: accept it at http://localhost"),
        (without_permission, "fine-grained token needs access to public gated repositories"),
        (without_file, "lacks a file of PersonaPlex"),
        (lambda hub: Hub(hub.repo, "main"), "accept its licence at .*/nvidia/personaplex-7b-v1, make a token"),
        (lambda hub: Hub(hub.repo, "main", "hf_wrong"), "HF_TOKEN is not a valid token"),
        (lambda hub: Hub("nvidia/other", "main", hub.token), "there is no repository http://localhost.*nvidia/other"),
        (lambda hub: Hub("nvidia/other", "main"), "there is no repository"),
        (lambda hub: Hub(hub.repo, "v9", hub.token), "has no revision 'v9'"),
        (lambda hub: Hub("no name", "main", hub.token), "'no name' is not the name of a repository"),
    ],
)
def test_what_the_operator_has_to_mend(opened: Callable[[FakeHub], Hub], message: str, hub: FakeHub) -> None:
    with closing(opened(hub)) as door, pytest.raises(ConfigError, match=message) as caught:
        door.files((MODEL,))
    assert hub.token not in str(caught.value)


def test_a_server_that_is_no_hub(hub: FakeHub, door: Hub) -> None:
    hub.answer = web.Response()
    with pytest.raises(ConfigError, match="not as a model hub does"):
        door.files((MODEL,))


def test_a_hub_that_has_enough_for_now(hub: FakeHub, door: Hub) -> None:
    hub.answer = web.Response(status=429)
    with pytest.raises(ModelMissing, match="status 429"):
        door.files((MODEL,))


def test_nobody_answers() -> None:
    pytest.importorskip("huggingface_hub")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    endpoint = f"http://127.0.0.1:{port}"
    with closing(Hub("a/b", "main", endpoint=endpoint)) as door, pytest.raises(ModelMissing, match=endpoint):
        door.files((MODEL,))


def test_an_offline_library_says_so(hub: FakeHub, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants, utils

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    utils.reset_sessions()  # it looks at this when it makes a session
    with closing(Hub(hub.repo, "main", hub.token)) as door, pytest.raises(ModelMissing, match="HF_HUB_OFFLINE"):
        door.files((MODEL,))
    utils.reset_sessions()


def test_the_library_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ConfigError, match=r"huggingface_hub: pip install 'splitbrain\[personaplex\]'"):
        Hub("a/b", "main")
