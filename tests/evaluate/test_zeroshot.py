"""Zero-shot classification against plain loops."""

import io
import tarfile

import numpy as np
import pytest
from colours import COLOURS, ByColour
from PIL import Image

import parabench
from parabench.errors import DataError
from parabench.evaluate import Run, rescore


def test_zeroshot_on_a_folder_and_on_shards(colours, tmp_path):
    run = parabench.evaluate(ByColour(), tasks=["zeroshot"], task_data={"zeroshot": colours}, out=tmp_path / "run", n_resamples=300)
    value = {name: entry.value for name, entry in run.result.tasks["zeroshot"].metrics.items()}
    encoder = ByColour()
    pictures = [(Image.open(path).convert("RGB"), label) for label in range(4) for path in sorted((colours / f"n{label:02d}").glob("*"))]
    image = encoder.encode_images([picture for picture, _ in pictures])
    labels = np.array([label for _, label in pictures])
    image /= np.linalg.norm(image, axis=1, keepdims=True)
    prompts = np.stack([encoder.encode_text([t.format(c) for c in COLOURS]) for t in ("a picture of something {}.", "the {} thing", "{} it is")])
    prompts /= np.linalg.norm(prompts, axis=2, keepdims=True)
    mean = prompts.mean(0) / np.linalg.norm(prompts.mean(0), axis=1, keepdims=True)
    right = (image @ mean.T).argmax(1) == labels
    votes = np.stack([(image @ own.T).argmax(1) for own in prompts])
    assert value["top-1"] == right.mean() > 0.5 and "top-5" not in value
    assert value["mean-per-class-recall"] == pytest.approx(np.mean([right[labels == c].mean() for c in range(4)]))
    agreement = np.mean([(votes[i] == votes[j]).mean() for i, j in ((0, 1), (0, 2), (1, 2))])
    assert value["template-agreement"] == pytest.approx(agreement) and agreement < 1
    accuracy = (votes == labels).mean(1)
    assert value["template-top-1"] == pytest.approx(accuracy.mean()) and value["template-spread"] == pytest.approx(np.ptp(accuracy))
    assert rescore(Run.load(tmp_path / "run")).tasks == run.result.tasks

    (tmp_path / "wds" / "test").mkdir(parents=True)
    (tmp_path / "wds" / "classnames.txt").write_text((colours / "classnames.txt").read_text())
    (tmp_path / "wds" / "zeroshot_classification_templates.txt").write_text((colours / "templates.txt").read_text())
    for shard in range(2):
        with tarfile.open(tmp_path / "wds" / "test" / f"{shard}.tar", "w") as archive:
            for number, path in enumerate(sorted(colours.glob("n*/*.png"))):
                if number % 2 == shard:
                    for name, data in ((f"{number:05d}.cls", str(int(path.parent.name[1:])).encode()), (f"{number:05d}.png", path.read_bytes())):
                        entry = tarfile.TarInfo(name)
                        entry.size = len(data)
                        archive.addfile(entry, io.BytesIO(data))
    shards = parabench.evaluate(ByColour(), tasks=["zeroshot"], task_data={"zeroshot": tmp_path / "wds"}, out=tmp_path / "shards", n_resamples=300)
    again = {name: entry.value for name, entry in shards.result.tasks["zeroshot"].metrics.items()}
    assert again == pytest.approx(value), "the same pictures out of tar shards"
    tar = tmp_path / "wds" / "test" / "1.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 2])
    with pytest.raises(DataError, match=r"1\.tar is not a whole, uncompressed tar"):
        parabench.evaluate(ByColour(), tasks=["zeroshot"], task_data={"zeroshot": tmp_path / "wds"}, out=tmp_path / "cut")


@pytest.mark.parametrize(
    ("change", "message"),
    [(lambda d: (d / "n04").mkdir(), "n04"), (lambda d: (d / "classnames.txt").write_text("red\nblue\n"), "names 2 classes"),
     (lambda d: (d / "classnames.txt").write_text("n00\tred\nn01\tblue\nn02\tgreen\nn09\tyellow\n"), "no line for the class folder 'n03'"),
     (lambda d: (d / "templates.txt").write_text("a photo\n"), "line 1: 0 places"), (lambda d: (d / "classnames.txt").write_bytes(b"\xff\xfe"), "UTF-8"),
     (lambda d: (d / "n00" / "0.png").write_bytes(b"no picture"), "n00/0.png"), (lambda d: (d / "templates.txt").write_text(" \n"), "is empty")],
)  # fmt: skip
def test_bad_class_folders_are_one_clear_line(colours, tmp_path, change, message):
    import shutil

    copy = tmp_path / "copy"
    shutil.copytree(colours, copy)
    change(copy)
    if message == "n04":
        (copy / "classnames.txt").write_text("red\nblue\ngreen\nyellow\nwhite\n")
    with pytest.raises(DataError, match=message):
        parabench.evaluate(ByColour(), tasks=["zeroshot"], task_data={"zeroshot": copy}, out=tmp_path / "run")
