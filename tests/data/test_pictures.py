"""The pictures of a gallery: found, hashed, and decoded exactly as `Image.open(path).convert("RGB")`."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import pytest
from PIL import Image

from parabench.data import ImageStore, load
from parabench.errors import DataError


@pytest.fixture
def store_of(tmp_path):
    def build(**file_names):
        lines = [f"{image_id},{name}" for image_id, name in file_names.items()]
        (tmp_path / "gallery.csv").write_text("\n".join(["image_id,file_name", *lines]) + "\n")
        first = next(iter(file_names))
        (tmp_path / "pairs.csv").write_text(f"image_id,caption,paraphrase\n{first},a dog,one dog\n")
        return ImageStore(load(tmp_path / "pairs.csv", gallery=tmp_path / "gallery.csv"))

    return build


@pytest.mark.parametrize("mode", ["RGB", "L", "LA", "RGBA", "P", "CMYK", "1"])
def test_every_mode_becomes_rgb(store_of, tmp_path, mode):
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (9, 7, 3), dtype=np.uint8)).convert(mode)
    suffix = ".tif" if mode == "CMYK" else ".png"
    picture.save(tmp_path / f"x{suffix}")
    got = store_of(a=f"x{suffix}").open("a")
    assert (got.mode, got.size) == ("RGB", (7, 9))
    assert np.array_equal(got, Image.open(tmp_path / f"x{suffix}").convert("RGB"))


def test_sixteen_bit_grey_is_scaled_not_clipped(store_of, tmp_path):
    Image.fromarray(np.array([[0, 32768, 65535]], np.uint16)).save(tmp_path / "x.png")
    assert np.asarray(store_of(a="x.png").open("a"))[0, :, 0].tolist() == [0, 127, 255]


def test_an_animation_gives_its_first_frame_and_one_pixel_works(store_of, tmp_path):
    frames = [Image.new("RGB", (4, 4), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "x.gif", save_all=True, append_images=frames[1:])
    Image.new("RGB", (1, 1), "lime").save(tmp_path / "y.png")
    store = store_of(a="x.gif", b="y.png")
    assert store.open("a").getpixel((0, 0)) == (255, 0, 0)
    assert store.open("b").size == (1, 1)


def test_exif_orientation_is_not_applied(store_of, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 4)).save(tmp_path / "x.jpg", exif=exif)
    assert store_of(a="x.jpg").open("a").size == (8, 4)


def test_damaged_pictures_name_id_path_and_remedy(store_of, tmp_path):
    Image.effect_noise((64, 64), 50).save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("not a picture")
    (tmp_path / "zero.png").write_bytes(b"")
    store = store_of(cut="cut.png", text="text.png", zero="zero.png")
    for image_id, said in (("cut", "damaged"), ("text", "not a picture"), ("zero", "empty")):
        with pytest.raises(DataError, match=said) as caught:
            store.open(image_id)
        assert f"'{image_id}'" in caught.value.problem and f"{image_id}.png" in caught.value.problem
        assert caught.value.remedy


@pytest.mark.parametrize("side", [10_100, 20_000])
def test_decompression_bombs_are_refused(store_of, tmp_path, side):
    Image.new("1", (side, side)).save(tmp_path / "x.png")
    with pytest.raises(DataError, match=r"megapixels|bomb"):
        store_of(a="x.png").open("a")


@pytest.mark.parametrize("name", ["../x.png", "/etc/x.png", "a/../../x.png", "..\\x.png", "C:\\x.png"])
def test_file_names_can_not_leave_the_folders(store_of, tmp_path, name):
    with pytest.raises(DataError, match="outside"):
        store_of(a=name).path("a")


def test_missing_pictures_are_listed_in_gallery_order(store_of, tmp_path):
    Image.new("RGB", (2, 2)).save(tmp_path / "b.png")
    store = store_of(c="c.png", b="b.png", a="n" * 300 + ".png")
    assert store.missing() == ["a", "c"]
    with pytest.raises(DataError, match="--images"):
        store.path("c")
    with pytest.raises(DataError, match="not in the gallery"):
        store.path("z")


def test_only_an_unambiguous_name_is_looked_up_without_its_folder(store_of, tmp_path):
    for name in ("x.png", "y.png"):
        Image.new("RGB", (2, 2)).save(tmp_path / name)
    store = store_of(a="one/x.png", b="two/x.png", c="one/y.png")
    assert store.missing() == ["a", "b"]
    assert store.path("c") == tmp_path / "y.png"


def test_hashes_are_of_the_bytes_and_follow_a_change(store_of, tmp_path):
    path = tmp_path / "x.png"
    path.write_bytes(b"one")
    store = store_of(a="x.png")
    assert store.sha256("a") == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two")
    os.utime(path, ns=(1, 1))
    assert store.sha256("a") == hashlib.sha256(b"two").hexdigest()


def test_extra_roots_come_first_and_must_exist(store_of, tmp_path):
    store_of(a="x.png")
    (tmp_path / "more").mkdir()
    for folder in (tmp_path, tmp_path / "more"):
        Image.new("RGB", (2, 2)).save(folder / "x.png")
    benchmark = load(tmp_path / "pairs.csv", gallery=tmp_path / "gallery.csv")
    assert ImageStore(benchmark, (tmp_path / "more",)).path("a") == tmp_path / "more" / "x.png"
    with pytest.raises(DataError, match="no such folder"):
        ImageStore(benchmark, (tmp_path / "absent",))


@pytest.mark.parametrize(("size", "refused"), [((500, 1), False), ((1, 500), False), ((501, 1), True), ((1, 60_000), True)])
def test_a_thread_of_a_picture_is_refused(tmp_path, size, refused):
    from parabench.data.images import decode

    Image.new("RGB", size).save(tmp_path / "thin.png")
    if not refused:
        assert decode(tmp_path / "thin.png", "7").size == size
        return
    with pytest.raises(DataError, match=r"image '7' .* thinner than 1:500"):
        decode(tmp_path / "thin.png", "7")
