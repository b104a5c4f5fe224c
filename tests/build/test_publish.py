"""Publishing to a Hub on this machine with the real clients, and to folders."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from hub import TOKEN, Hub
from review_ledger import make_ledger
from test_release import files_of, images_of, make_record

from parabench.build.publish import publish
from parabench.build.release import write_release
from parabench.data import load
from parabench.errors import DataError, ParabenchError, UsageError

NAME = "parabench/coco-paraphrase"


@pytest.fixture
def hub():
    with Hub() as running:
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def release(tmp_path):
    with make_ledger(tmp_path / "set.ledger") as ledger:
        return write_release(ledger, images_of(), tmp_path / "release", name="dogs", record=make_record())


@pytest.fixture
def new_release(tmp_path):
    """A later version, whose foils are all gone."""
    from parabench.build.candidates import CandidateTable

    with make_ledger(tmp_path / "new.ledger") as ledger:
        table = CandidateTable(ledger)
        table.replace([c for c in list(table) if c.role != "foil"])
        return write_release(
            ledger, images_of(), tmp_path / "new", name="dogs", record=make_record(), version="1.1.0"
        )


@pytest.fixture
def client(hub, tmp_path):
    """Runs Python or ``parabench`` in a process of its own that knows only this hub."""

    def run(*arguments, token=TOKEN, code=0, **environment):
        here = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
        own = {**here, **hub.environment(tmp_path / "home", token), **environment}
        done = subprocess.run([sys.executable, *map(str, arguments)], capture_output=True, text=True, env=own, timeout=300)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr, done.stderr
        assert TOKEN not in done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture
def push(client, release):
    def run(*options, folder=release, to=f"hub:{NAME}", **keywords):
        return client("-m", "parabench", "publish", folder, "--to", to, *options, **keywords)

    return run


def held(hub, kind="dataset", name=NAME):
    files = dict(hub.repositories[kind, name].commits[-1][1])
    assert files.pop(".gitattributes")
    return files


def test_push_then_load_dataset_and_evaluate(hub, push, client, release, tmp_path):
    said = push("--tag", "v1.0.0")
    assert f"{len(files_of(release))} files sent" in said and "tagged" in said
    assert held(hub) == files_of(release)
    repository = hub.repositories["dataset", NAME]
    assert repository.tags == {"v1.0.0": repository.commits[-1][0]} and not repository.private
    assert len(repository.commits) == 2  # the empty one and one with everything
    code = f"""
import datasets
for config in ("pairs", "gallery", "foils", "rejected"):
    print(config, {{split: len(rows) for split, rows in datasets.load_dataset("{NAME}", config).items()}})
print(datasets.load_dataset("{NAME}", split="test", revision="v1.0.0")[0]["pair_id"])
"""
    said = client("-c", code)
    for line in ("pairs {'test': 20}", "gallery {'test': 24}", "foils {'test': 10}", "rejected {'test': 1}", "c0-lexical"):
        assert line in said
    for name in (NAME, f"{NAME}@v1.0.0"):
        arguments = ("evaluate", "-m", "tfidf:", "-d", name, "--out", tmp_path / "run", "--depth", "10", "--overwrite")
        said = client("-m", "parabench", *arguments, "--resamples", "50", "--json", PARABENCH_CACHE=str(tmp_path / "cache"))
        result = json.loads((tmp_path / "run" / "result.json").read_text())
        assert result["dataset"]["fingerprint"] == load(release).fingerprint
        assert result["dataset"]["n_pairs"] == 20
    evaluated = client("-m", "parabench", "evaluate", "-m", "tfidf:", "-d", f"{NAME}@v9", code=2)
    assert "no dataset" in evaluated


def test_a_second_push_does_nothing_and_says_so(hub, push):
    push("--tag", "v1.0.0")
    commits = list(hub.repositories["dataset", NAME].commits)
    hub.log.clear()
    assert "unchanged, nothing was sent" in push("--tag", "v1.0.0")
    assert hub.repositories["dataset", NAME].commits == commits
    assert not [path for method, path in hub.log if method == "PUT" or "/commit/" in path or "/tag/" in path]
    done = json.loads(push("--json").splitlines()[-1])
    assert (done["sent"], done["removed"], done["tagged"]) == (0, 0, False)


def test_a_new_version_replaces_the_old_one_and_spares_what_others_put_there(hub, push, new_release):
    push("--tag", "v1.0.0")
    repository = hub.repositories["dataset", NAME]
    repository.commit({**repository.commits[-1][1], "discussion.md": b"by others"})
    said = push("--tag", "v1.1.0", folder=new_release)
    assert "1 removed" in said
    files = held(hub)
    assert files.pop("discussion.md") == b"by others" and files == files_of(new_release)
    assert set(repository.tags) == {"v1.0.0", "v1.1.0"}


def test_a_tag_is_never_moved(hub, push, new_release):
    push("--tag", "v1.0.0")
    before = list(hub.repositories["dataset", NAME].commits)
    said = push("--tag", "v1.0.0", folder=new_release, code=1)
    assert "has the tag 'v1.0.0' already" in said
    assert hub.repositories["dataset", NAME].commits == before


def test_private(hub, push):
    push("--private")
    assert hub.repositories["dataset", NAME].private
    hub.repositories["dataset", NAME].private = False
    assert "is there already and is public" in push("--private", code=1)


@pytest.mark.parametrize(
    "steps", [("repos/create", "preupload", "objects/batch", "large", "commit"), ("tree", "refs", "tag")]
)
def test_a_server_that_fails_once_at_each_step_is_asked_again(hub, push, release, steps):
    hub.answers = {step: [500] for step in steps}
    push("--tag", "v1.0.0")
    assert not any(hub.answers.values()) and held(hub) == files_of(release)
    assert "v1.0.0" in hub.repositories["dataset", NAME].tags


def test_a_commit_that_arrived_although_the_answer_failed_is_not_made_twice(hub, push, release):
    from hub import Handler

    whole = Handler.commit

    def half(self, body, **names):
        self.answer, answer = (lambda *args, **headers: None), self.answer
        whole(self, body, **names)
        self.answer = answer
        self.refuse(502, "Bad Gateway")

    from hub import ROUTES

    at = next(i for i, route in enumerate(ROUTES) if route[2] is whole)
    methods, pattern, _ = ROUTES[at]
    try:
        ROUTES[at] = (methods, pattern, half)
        assert "trying again" in push()
    finally:
        ROUTES[at] = (methods, pattern, whole)
    assert len(hub.repositories["dataset", NAME].commits) == 2 and held(hub) == files_of(release)


def test_refusals_are_one_clear_line(hub, push, tmp_path):
    assert "there is no token" in push(token=None, code=1)
    assert hub.log == []
    said = push(token="hf_expired", code=1)
    assert "does not accept the token" in said and "hf auth login" in said and len(said.strip().splitlines()) == 1
    assert "may not write to 'others/dogs'" in push(to="hub:others/dogs", code=1)
    hub.answers["commit"] = [401]
    assert "does not accept the token" in push(code=1)
    hub.answers["preupload"] = [409]
    assert "changed on the Hub meanwhile" in push(code=1)
    hub.answers["tree"], hub.words["tree"] = [400], f"you sent {TOKEN}, ha"
    assert "you sent ***" in push(code=1)


def test_an_unreachable_hub(push, tmp_path):
    said = push(code=1, HF_ENDPOINT="http://127.0.0.1:9")
    assert "can't publish to http://127.0.0.1:9" in said
    assert "HF_HUB_OFFLINE" in push(code=1, HF_HUB_OFFLINE="1")


def test_a_lying_hub_is_caught(hub, push):
    hub.lies = True
    assert "does not hold 'README.md' as it was sent" in push(code=1)
    hub.lies = False
    assert "1 files sent" in push()


def test_a_model_folder(hub, push, tmp_path):
    from safetensors.numpy import save_file

    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\n# a model\n")
    (folder / "config.json").write_text("{}")
    save_file({"weight": np.zeros((4, 4), np.float32)}, folder / "model.safetensors")
    expected = files_of(folder)
    (folder / "training" / "checkpoints").mkdir(parents=True)
    (folder / "training" / "checkpoints" / "step-00000010.safetensors").write_bytes(b"optimizer state")
    push("--tag", "v1", folder=folder, to="hub:parabench/tower")
    assert held(hub, "model", "parabench/tower") == expected, "what training resumes from stays at home"
    assert "unchanged" in push(folder=folder, to="hub:parabench/tower")


def test_what_is_no_release_is_refused_before_anything_is_asked(release, tmp_path):
    # HF_HUB_OFFLINE is set in this process: a request would end in another error.
    def refusal(folder=release, to=f"hub:{NAME}"):
        with pytest.raises(ParabenchError) as caught:
            publish(folder, to)
        return caught.value.exit_code, str(caught.value)

    for to in ("hub:dogs", "hub:", "s3:x/y", "hub:a/b/c", "hub:../x", "nothing"):
        code, said = refusal(to=to)
        assert code == 2 and "--to hub:owner/name" in said
    empty = tmp_path / "empty"
    assert "no such folder" in refusal(empty)[1]
    empty.mkdir()
    assert "not a release" in refusal(empty)[1]
    (empty / "README.md").write_text("hello")
    assert "neither a dataset" in refusal(empty)[1]
    (release / "README.md").write_text("edited after the release")
    assert "README.md is not what CHECKSUMS says" in refusal()[1]
    (release / "CHECKSUMS").unlink()
    assert "it has no CHECKSUMS" in refusal()[1]


def test_links_are_not_followed(release, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("private")
    (release / "plots" / "secret.png").symlink_to(secret)
    with pytest.raises(DataError, match="is a link"):
        publish(release, f"folder:{tmp_path / 'out'}")


def test_to_a_folder(release, new_release, tmp_path):
    target = tmp_path / "shelf" / "dogs"
    done = publish(release, f"folder:{target}")
    assert done.sent == len(files_of(release)) and files_of(target) == files_of(release)
    inode = (target / "README.md").stat().st_ino
    again = publish(release, f"folder:{target}")
    assert (again.sent, again.removed) == (0, 0) and (target / "README.md").stat().st_ino == inode
    assert "unchanged" in str(again)
    assert publish(new_release, f"folder:{target}").removed == 1 and files_of(target) == files_of(new_release)
    (target / "mine.txt").write_text("mine")
    with pytest.raises(DataError, match=r"mine\.txt"):
        publish(release, f"folder:{target}")
    assert files_of(target)["mine.txt"] == b"mine" and [p.name for p in target.parent.iterdir()] == ["dogs"]
    with pytest.raises(UsageError, match="for the Hub"):
        publish(release, f"folder:{target}", tag="v1")
    with pytest.raises(UsageError, match="lies in the folder"):
        publish(release, f"folder:{release / 'inner'}")


def test_places_that_take_no_folder(release, tmp_path):
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "dogs", tmp_path / ("x" * 300), "/proc/dogs"):
        with pytest.raises(ParabenchError, match="can't write"):
            publish(release, f"folder:{place}")


def test_a_full_disk_leaves_the_earlier_publication(release, new_release, tmp_path, monkeypatch):
    target = tmp_path / "dogs"
    publish(release, f"folder:{target}")

    def full(source, destination):
        Path(destination).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(Exception, match="no space left"):
        publish(new_release, f"folder:{target}")
    assert files_of(target) == files_of(release)
