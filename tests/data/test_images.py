"""Pictures of every kind, and those that must not be opened."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from parabench.data import ImageStore, load
from parabench.errors import DataError


@pytest.fixture
def store(tmp_path):
    def make(name, write):
        write(tmp_path / name)
        (tmp_path / "pairs.csv").write_text(f"image_id,file_name,caption,paraphrase\nx,{name},a,b\n")
        return ImageStore(load(tmp_path / "pairs.csv"))

    return make


@pytest.mark.parametrize("mode", ["RGB", "CMYK", "L", "1"])
def test_modes_become_rgb(store, mode):
    image = Image.new("RGB", (9, 7), (200, 30, 30)).convert(mode)
    opened = store("x.tif", image.save).open("x")
    assert opened.mode == "RGB" and opened.size == (9, 7)


def test_sixteen_bit_grey_is_scaled_not_clipped(store):
    ramp = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    opened = np.asarray(store("x.png", Image.fromarray(ramp).save).open("x"))
    assert opened.min() == 0 and opened.max() == 255 and len(np.unique(opened)) > 40


def test_one_pixel(store):
    assert store("x.png", Image.new("RGB", (1, 1)).save).open("x").size == (1, 1)


def test_truncated_unreadable_and_empty(store):
    def truncated(path):
        Image.effect_noise((200, 200), 90).convert("RGB").save(path, "JPEG")
        path.write_bytes(path.read_bytes()[:3000])

    for name, write, message in (
        ("x.jpg", truncated, "damaged"),
        ("y.jpg", lambda path: path.write_text("no picture"), "not a picture"),
        ("z.jpg", lambda path: path.write_bytes(b""), "not a picture"),
    ):
        with pytest.raises(DataError, match=f"'x'.*{name}.*{message}"):
            store(name, write).open("x")


def test_decompression_bomb(store):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def bomb(path):
        header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b""))

    with pytest.raises(DataError, match=r"'x'.*(megapixels|bomb)"):
        store("x.png", bomb).open("x")


@pytest.mark.parametrize("name", ["../secret.png", "/etc/hostname"])
def test_names_stay_inside_the_folder(store, name):
    with pytest.raises(DataError, match="outside"):
        ImageStore(load_named(store, name)).path("x")


def load_named(store, name):
    benchmark = store("ok.png", Image.new("RGB", (2, 2)).save)._benchmark
    path = benchmark.image_roots[0] / "pairs.csv"
    path.write_text(f"image_id,file_name,caption,paraphrase\nx,{name},a,b\n")
    return load(path)


def test_a_missing_picture_is_named(store):
    with pytest.raises(DataError, match=r"'x' was not found.*--images"):
        store("x.png", lambda path: None).path("x")
