"""Publishing a finished folder, a dataset release or a trained model, to the Hugging Face Hub or to another folder.

Publishing is safe to repeat: what the target holds is compared with what is here first, and when both are the same
nothing is sent.  One commit carries all changes, so the Hub holds the old version or the new one.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from parabench.build.release import CHECKSUMS, read_checksums, verify_checksums
from parabench.errors import DataError, ParabenchError, UsageError
from parabench.progress import note
from parabench.storage import disk_errors, sha256_file

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_TAG = re.compile(r"[A-Za-z0-9][\w.+-]*")
_TRIES, _FIRST_WAIT = 4, 1.0
_CHECK_TOKEN = "log in again with `hf auth login`, or set HF_TOKEN to a token that may write"

RepoType = Literal["dataset", "model"]


@dataclass(frozen=True)
class Published:
    """What was done.

    Attributes:
        target: where, a web address or a folder.
        sent: files that were new or different; 0 = the target held the same already.
        removed: files of an earlier version that are gone.
        revision: commit on the Hub, else ``""``.
        tagged: whether a tag was set now.
    """

    target: str
    sent: int
    removed: int
    revision: str = ""
    tagged: bool = False

    def __str__(self) -> str:
        if not self.sent and not self.removed:
            done = "unchanged, nothing was sent"
        else:
            done = f"{self.sent} files sent" + (f", {self.removed} removed" if self.removed else "")
        at = f", commit {self.revision[:12]}" if self.revision else ""
        return f"{self.target}: {done}{at}" + (", tagged" if self.tagged else "")


def publish(folder: Path, to: str, *, private: bool = False, tag: str | None = None) -> Published:
    """Publish a folder.

    A dataset is a release with its ``CHECKSUMS``; a model is a folder with ``README.md`` and weights.
    The Hub's address is ``$HF_ENDPOINT``, the token that of ``hf auth login`` or ``$HF_TOKEN``.

    Args:
        folder: what to publish.
        to: ``hub:owner/name`` or ``folder:PATH``.
        private: make a new Hub repository private.
        tag: name of this version on the Hub, such as ``v1.0.0``; an existing tag is never moved.

    Raises:
        UsageError: a malformed target or tag.
        DataError: the folder is no release, was changed after it, or the target holds something else.
        ParabenchError: no token, no permission, the Hub is unreachable or fails, the disk is full.
    """
    scheme, _, name = to.partition(":")
    if scheme not in ("hub", "folder") or not name:
        raise UsageError(f"'{to}' is no place to publish to", "write --to hub:owner/name or --to folder:PATH")
    if tag is not None and not _TAG.fullmatch(tag):
        raise UsageError(f"'{tag}' is no tag", "write e.g. --tag v1.0.0")
    if scheme == "folder" and (tag is not None or private):
        raise UsageError("--tag and --private are for the Hub", "leave them out, or publish --to hub:owner/name")
    if scheme == "hub" and not _HUB_ID.fullmatch(name):
        raise UsageError(f"'{name}' is no name on the Hub", "write --to hub:owner/name")
    repo_type = _kind(folder)
    if scheme == "folder":
        target = Path(name).expanduser().absolute()
        with disk_errors(target):
            return _to_folder(folder, target)
    return _to_hub(folder, name, repo_type, private, tag)


def _kind(folder: Path) -> RepoType:
    """Whether the folder is a dataset or a model; a dataset's checksums are verified."""
    if not folder.is_dir():
        raise DataError(f"no such folder: {folder}", "name the folder that build-dataset or train wrote")
    links = [path for path in folder.rglob("*") if path.is_symlink()]
    if links:
        raise DataError(f"{links[0]} is a link, and only files of the folder itself are published", "copy the file there")
    if not (folder / "README.md").is_file():
        raise DataError(f"{folder} is not a release: it has no README.md", "name the folder that build-dataset or train wrote")
    if (folder / CHECKSUMS).is_file():
        verify_checksums(folder)
    if any((folder / "pairs").glob("*.parquet")):
        if not (folder / CHECKSUMS).is_file():
            raise DataError(f"{folder} is not a release: it has no {CHECKSUMS}", "write it with parabench build-dataset")
        return "dataset"
    if any(folder.glob("*.safetensors")):
        return "model"
    raise DataError(
        f"{folder} is neither a dataset (pairs/*.parquet) nor a model (*.safetensors)",
        "name the folder that build-dataset or train wrote",
    )


def _to_folder(folder: Path, target: Path) -> Published:
    if target.resolve() == folder.resolve() or folder.resolve() in target.resolve().parents:
        raise UsageError(f"{target} lies in the folder that is to be published", "choose another folder")
    if target.exists() and not target.is_dir():
        raise DataError(f"{target} is a file", "choose another folder")
    files, held = _files(folder), _files(target) if target.is_dir() else {}
    published = _listed(target) | {CHECKSUMS, "README.md"}
    foreign = sorted(held.keys() - files.keys() - published)
    if foreign:
        raise DataError(f"{target} holds '{foreign[0]}', which is no part of a release", "choose another folder")
    changed = [name for name, path in files.items() if name not in held or sha256_file(held[name]) != sha256_file(path)]
    gone = held.keys() - files.keys()
    if not changed and not gone:
        return Published(str(target), 0, 0)
    target.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent))
    try:
        for name, path in files.items():
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, part / name)
        if (part / CHECKSUMS).is_file():
            verify_checksums(part)
        umask = os.umask(0)
        os.umask(umask)
        part.chmod(0o777 & ~umask)
        if target.exists():
            old = part.with_suffix(".old")
            target.rename(old)
            part.rename(target)
            shutil.rmtree(old)
        else:
            part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Published(str(target), len(changed), len(gone))


def _to_hub(folder: Path, name: str, repo_type: RepoType, private: bool, tag: str | None) -> Published:
    from huggingface_hub import HfApi, get_token
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import disable_progress_bars

    if not sys.stderr.isatty():
        disable_progress_bars()
    token = get_token()
    if token is None:
        raise ParabenchError("there is no token for the Hub", _CHECK_TOKEN)
    api = HfApi(token=token, library_name="parabench")
    wait = _FIRST_WAIT
    for attempt in range(1, _TRIES + 1):
        try:
            # The whole is safe to repeat: it compares first, so what an earlier try achieved is not done again.
            return _push(api, folder, name, repo_type, private, tag)
        except HfHubHTTPError as error:
            status = 0 if error.response is None else error.response.status_code
            if attempt == _TRIES or (status < 500 and status != 429):
                raise _refused(error, status, name, api.endpoint, token) from None
            note(f"the Hub answered {status}; trying again in {wait:.0f} s ({attempt} of {_TRIES - 1})")
            time.sleep(wait)
            wait *= 2
        except ParabenchError:
            raise
        except Exception as error:
            # Network failures come as several classes by version of the client, malformed answers as KeyError,
            # TypeError or JSON errors; each means that no Hub answered as a Hub does.
            said = _scrubbed(f"{type(error).__name__}: {error}", token)
            raise ParabenchError(
                f"can't publish to {api.endpoint}: it can't be reached or does not answer as a Hub ({said[:300]})",
                "check the network, HF_ENDPOINT and HF_HUB_OFFLINE, then run the same command: what was sent is not sent again",
            ) from None
    raise AssertionError("unreachable")


def _push(api: HfApi, folder: Path, name: str, repo_type: RepoType, private: bool, tag: str | None) -> Published:
    files = _files(folder)
    url = str(api.create_repo(name, repo_type=repo_type, private=private or None, exist_ok=True))
    info = api.repo_info(name, repo_type=repo_type)
    if private and info.private is False:
        raise DataError(f"{name} is there already and is public", "make it private on its page, or leave --private out")
    changed, gone = _differences(api, name, repo_type, files)
    revision = str(info.sha)
    if tag is not None:
        _refuse_moved_tag(api, name, repo_type, tag, None if changed or gone else revision)
    if changed or gone:
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: list[Any] = [CommitOperationAdd(path, str(files[path])) for path in changed]
        operations += [CommitOperationDelete(path) for path in gone]
        version = (folder / "VERSION").read_text("utf-8").strip() if "VERSION" in files else ""
        commit = api.create_commit(
            name, operations, repo_type=repo_type, commit_message=f"Publish {version or folder.name}", parent_commit=revision
        )
        revision = commit.oid
        left, _ = _differences(api, name, repo_type, files)
        if left:
            raise DataError(f"the Hub does not hold '{left[0]}' as it was sent", "run the same command again")
    tagged = tag is not None and tag not in _tags(api, name, repo_type)
    if tag is not None and tagged:
        api.create_tag(name, tag=tag, revision=revision, repo_type=repo_type)
    return Published(url, len(changed), len(gone), revision, tagged)


def _differences(api: HfApi, name: str, repo_type: RepoType, files: dict[str, Path]) -> tuple[list[str], list[str]]:
    """Files that the Hub lacks or holds otherwise, and files of the version published there that are gone here.

    What others put beside a release is left alone: only what the Hub's own ``CHECKSUMS`` lists is removed.
    """
    from huggingface_hub.hf_api import RepoFile

    held = {
        entry.path: entry for entry in api.list_repo_tree(name, recursive=True, repo_type=repo_type) if isinstance(entry, RepoFile)
    }
    changed = [path for path, file in files.items() if path not in held or not _same(held[path], file)]
    gone: list[str] = []
    if CHECKSUMS in changed and CHECKSUMS in held:
        earlier = read_checksums(Path(api.hf_hub_download(name, CHECKSUMS, repo_type=repo_type)))
        gone = sorted((earlier.keys() & held.keys()) - files.keys())
    return changed, gone


def _same(remote: Any, file: Path) -> bool:
    if remote.size != file.stat().st_size:
        return False
    if remote.lfs is not None:
        return bool(remote.lfs.sha256 == sha256_file(file))
    data = file.read_bytes()  # stored in git itself, hence small: its id is git's hash of a blob
    return bool(remote.blob_id == hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest())


def _tags(api: HfApi, name: str, repo_type: RepoType) -> dict[str, str]:
    return {ref.name: ref.target_commit for ref in api.list_repo_refs(name, repo_type=repo_type).tags}


def _refuse_moved_tag(api: HfApi, name: str, repo_type: RepoType, tag: str, revision: str | None) -> None:
    """Refuse, before anything is sent, a tag that names another version than the one to be published."""
    at = _tags(api, name, repo_type).get(tag)
    if at is not None and at != revision:
        raise DataError(
            f"{name} has the tag '{tag}' already, for another version (commit {at[:12]})",
            "give this version a tag of its own: others may have cited that one",
        )


def _refused(error: Any, status: int, name: str, endpoint: str, token: str) -> ParabenchError:
    if status == 401:
        return ParabenchError(f"the Hub at {endpoint} does not accept the token: it is wrong, expired or revoked", _CHECK_TOKEN)
    if status == 403:
        return ParabenchError(f"the token may not write to '{name}' on {endpoint}", f"check the owner's name, or {_CHECK_TOKEN}")
    if status in (409, 412):
        return ParabenchError(f"'{name}' was changed on the Hub meanwhile", "run the same command again")
    said = _scrubbed(str(getattr(error, "server_message", None) or error), token)
    return ParabenchError(f"the Hub at {endpoint} refused with status {status}: {said[:300]}", "try again later")


def _scrubbed(text: str, token: str) -> str:
    """A server's words without the token, which a lying one might repeat."""
    return text.replace(token, "***")


def _files(folder: Path) -> dict[str, Path]:
    """Relative name → file, in order; not what a training run would resume from, several times the weights."""
    found = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {name: path for name, path in found.items() if not name.startswith("training/checkpoints/")}


def _listed(folder: Path) -> set[str]:
    return set(read_checksums(folder / CHECKSUMS)) if (folder / CHECKSUMS).is_file() else set()
