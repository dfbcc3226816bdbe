"""The door to a model hub, by huggingface_hub: what files a repository has, and their bytes. Decides no layout.

Every failure becomes an error that says who can mend it. The library is imported when it is needed; tokens appear in
no message.
"""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from shared.errors import ConfigError, ModelCorrupt, ModelMissing, SplitbrainError

ENDPOINT_VARIABLE = "HF_ENDPOINT"

MAX_BREAKS: Final = 5
"""So often a transfer that breaks off goes on at once where it stopped; then it is an error, and the rest stays."""

_TIMEOUT_S = 10.0
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """What the hub states of a file: its size, and the SHA-256 of a large one or the git hash of a small one."""

    name: str
    n_bytes: int
    commit: str
    etag: str

    @property
    def is_sha256(self) -> bool:
        """True if `etag` is the SHA-256 of the content; else it is git's SHA-1 of a blob."""
        return _SHA256.fullmatch(self.etag) is not None


class Hub:
    """One repository at one revision. Every call blocks, on the caller's thread."""

    def __init__(self, repo: str, revision: str, token: str = "", endpoint: str = "") -> None:
        """`token` "" sends none, not even a saved one. `endpoint` "" is HF_ENDPOINT's, else the public hub."""
        self._repo = repo
        self._revision = revision
        self._token: str | bool = token or False
        self._library = _library()
        self._endpoint = (endpoint or os.environ.get(ENDPOINT_VARIABLE, "") or _public_hub()).rstrip("/")

    @property
    def page(self) -> str:
        """Address of the repository, where its licence is accepted."""
        return f"{self._endpoint}/{self._repo}"

    def close(self) -> None:
        """Close the connections of this thread."""
        self._library.utils.get_session().close()

    def files(self, names: Sequence[str]) -> tuple[RemoteFile, ...]:
        """Return what the hub states of each file, all of the commit that the revision is now.

        ConfigError: licence not accepted, token wrong or lacking, repository, revision or file unknown. ModelMissing:
        no hub answers, or not now.
        """
        with self._explained():
            self._knock(names[0])
            first = self._file(names[0], self._revision)
            return (first, *(self._file(name, first.commit) for name in names[1:]))

    def download(self, file: RemoteFile, folder: Path) -> Path:
        """Bring a file into `folder` and return its path; goes on with what an earlier call left there.

        Shows a tqdm bar on a terminal. The content is not checked here. ModelMissing and ConfigError as in `files`,
        ModelCorrupt if the hub sends more or less than it states; OSError is the disk's.
        """
        with self._explained():
            for _ in range(MAX_BREAKS):
                with suppress(_requests().exceptions.ChunkedEncodingError):
                    return self._download_once(file, folder)
            return self._download_once(file, folder)

    def n_bytes_there(self, file: RemoteFile, folder: Path) -> int:
        """Return the bytes of a file that earlier calls of `download` have brought into `folder`."""
        return sum(path.stat().st_size for path in (folder / file.name, *_pieces(file, folder)) if path.is_file())

    def _download_once(self, file: RemoteFile, folder: Path) -> Path:
        try:
            path = self._library.hf_hub_download(
                self._repo,
                file.name,
                revision=file.commit,
                local_dir=folder,
                cache_dir=folder / ".cache" / "none",  # the shared cache of this machine stays out of it
                token=self._token,
                endpoint=self._endpoint,
            )
        except OSError as error:
            if not _is_wrong_length(error):
                raise
            for piece in _pieces(file, folder):
                piece.unlink()
            raise ModelCorrupt(
                f"{file.name} did not come with the {file.n_bytes} bytes that the hub states; it was deleted: try again"
            ) from error
        return Path(path)

    def _knock(self, name: str) -> None:
        """Ask once whether anything answers: the library itself tries for half a minute before it says so."""
        session = self._library.utils.get_session()
        session.head(self._url(name, self._revision), timeout=_TIMEOUT_S, allow_redirects=False).close()

    def _file(self, name: str, revision: str) -> RemoteFile:
        stated = self._library.get_hf_file_metadata(
            self._url(name, revision), token=self._token, timeout=_TIMEOUT_S, endpoint=self._endpoint
        )
        if not stated.commit_hash or not stated.etag or stated.size is None:
            raise ConfigError(f"{self._endpoint} answers, but not as a model hub does: see HF_ENDPOINT, and any proxy")
        return RemoteFile(name, int(stated.size), str(stated.commit_hash), str(stated.etag))

    def _url(self, name: str, revision: str) -> str:
        url: str = self._library.hf_hub_url(self._repo, name, revision=revision, endpoint=self._endpoint)
        return url

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn the library's errors into ours."""
        try:
            yield
        except SplitbrainError:
            raise
        except self._library.errors.HFValidationError as error:
            raise ConfigError(f"{self._repo!r} is not the name of a repository: OWNER/NAME is") from error
        except (self._library.errors.HfHubHTTPError, _requests().exceptions.HTTPError) as error:
            raise self._refused(error) from error
        except _requests().exceptions.ChunkedEncodingError as error:
            raise ModelMissing("the transfer broke off; the same command goes on where it stopped") from error
        except _requests().exceptions.RequestException as error:
            raise self._unreachable() from error
        except self._library.errors.OfflineModeIsEnabled as error:
            raise ModelMissing("HF_HUB_OFFLINE is set: nothing is fetched; unset it") from error

    def _refused(self, error: Any) -> SplitbrainError:
        """Return what an HTTP status means, by the status and the hub's own code, never by a text."""
        response = error.response
        if response is None:  # the library's word for "asked, and got no usable answer"
            cause = error.__cause__
            return self._unreachable() if getattr(cause, "response", None) is None else self._refused(cause)
        status, code = int(response.status_code), response.headers.get("X-Error-Code", "")
        if status == 401 and code != "RepoNotFound":
            return ConfigError(self._unauthorized())
        if code == "GatedRepo":
            return ConfigError(
                f"the licence of {self._repo} is not accepted by the owner of HF_TOKEN: accept it at {self.page}"
            )
        if code == "RevisionNotFound":
            return ConfigError(f"{self._repo} has no revision {self._revision!r}: see --revision")
        if code == "EntryNotFound":
            return ConfigError(f"{self._repo} lacks a file of PersonaPlex at {self._revision!r}: see --from")
        if code == "RepoNotFound" or status == 404:
            return ConfigError(f"there is no repository {self.page} that this token may see: see --from and HF_TOKEN")
        if status == 403:
            return ConfigError(
                f"HF_TOKEN may not read {self._repo}: a fine-grained token needs access to public gated repositories"
            )
        return ModelMissing(f"{self._endpoint} answers with status {status}: try again later")

    def _unauthorized(self) -> str:
        if self._token:
            return "HF_TOKEN is not a valid token (any more): make one with read access in your settings of the hub"
        return (
            f"{self._repo} is given to known users only: accept its licence at {self.page}, make a token with read"
            " access, and set HF_TOKEN to it"
        )

    def _unreachable(self) -> ModelMissing:
        return ModelMissing(
            f"no model hub answers at {self._endpoint}: see network, proxy and HF_ENDPOINT, or fill the folder by hand"
        )


def _pieces(file: RemoteFile, folder: Path) -> list[Path]:
    """Return what the library keeps of a transfer that is not finished."""
    return [path for path in (folder / ".cache").rglob("*.incomplete") if f".{file.etag}." in path.name]


def _is_wrong_length(error: OSError) -> bool:
    """True if too much is there to go on, or the end came early: a bare OSError that is not the system's."""
    response = getattr(error, "response", None)
    return (type(error) is OSError and error.errno is None) or getattr(response, "status_code", 0) == 416


def _library() -> Any:
    try:
        for module in ("huggingface_hub.errors", "huggingface_hub.utils", "requests"):
            importlib.import_module(module)
        return importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise ConfigError(
            f"fetching weights needs the Python module {error.name}: pip install 'splitbrain[personaplex]'"
        ) from error


def _requests() -> Any:
    """Return the HTTP library that huggingface_hub uses."""
    return importlib.import_module("requests")


def _public_hub() -> str:
    return str(importlib.import_module("huggingface_hub.constants").ENDPOINT)
