"""A deferred package comes when it is used, and behaves as if it had been there from the beginning."""

import importlib
import subprocess
import sys

import pytest

from parabench.deferred import deferred

PACKAGE = {
    "slow/__init__.py": "class Shape:\n    sides = 4\ndef double(x):\n    return 2 * x\n",
    "slow/parts.py": "from slow import Shape\nclass Square(Shape):\n    pass\n",
}


@pytest.fixture
def library(tmp_path, monkeypatch):
    """Writes a library ``library`` beside a package ``slow`` and imports it with ``slow`` deferred."""
    monkeypatch.syspath_prepend(tmp_path)
    for name, code in PACKAGE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(code)

    def load(code):
        (tmp_path / "library.py").write_text(code)
        importlib.invalidate_caches()
        with deferred("slow", "not_installed_anywhere"):
            return importlib.import_module("library")

    yield load
    for name in [name for name in sys.modules if name.partition(".")[0] in ("slow", "library")]:
        del sys.modules[name]


def test_it_comes_when_it_is_used(library):
    module = library(
        "import slow\nimport slow.parts\nfrom slow import Shape, double\nfrom slow.parts import Square as Quad\n"
        "def area(x: Shape = None):\n    return slow.double(8) + slow.parts.Square.sides\n"
    )
    assert "slow" not in sys.modules and "slow.parts" not in sys.modules
    assert module.double(4) == 8 and module.area() == 20 and module.Quad.sides == 4
    import slow
    import slow.parts

    assert slow.__file__ and slow.parts.__file__, "everybody else gets the real package"
    assert isinstance(slow.parts.Square(), module.Shape) and isinstance(module.Quad(), slow.Shape)
    assert issubclass(slow.parts.Square, module.Shape) and not isinstance(3, module.Shape)


def test_what_is_needed_during_the_import_is_imported_at_once(library):
    module = library("from slow import Shape, double\nclass Own(Shape):\n    pass\neight = double(4)\ndef area(x: None | Shape = None): ...\nimport slow\n")
    import slow

    assert module.slow is slow and module.eight == 8 and issubclass(module.Own, slow.Shape)


def test_a_package_that_is_not_there_fails_as_ever(library):
    module = library("try:\n    import not_installed_anywhere\nexcept ImportError:\n    missing = True\n")
    assert module.missing


def test_a_name_that_is_not_there_says_so_when_it_is_used(library):
    module = library("from slow import tripel\nimport slow\n")
    for use in (lambda: module.tripel(4), lambda: module.slow.tripel):
        with pytest.raises(ImportError, match="cannot import name 'tripel' from 'slow'"):
            use()


def test_what_is_imported_already_is_left_alone(library):
    import slow

    assert library("import slow\nfrom slow import double\n").slow is slow
    assert sys.modules["slow"] is slow


def test_the_importers_own_error_gets_through_and_leaves_nothing(library):
    with pytest.raises(ZeroDivisionError):
        library("import slow\n1 / 0\n")
    assert "slow" not in sys.modules and not any(type(finder).__module__ == deferred.__module__ for finder in sys.meta_path)


def test_openclip_imports_what_its_model_needs():
    pytest.importorskip("open_clip")
    code = """
import sys
from parabench.encoders import load_encoder
load_encoder("openclip:ViT-B-32/untrained").encode_text(["a"])
heavy = ("timm", "transformers", "torch._dynamo", "sympy")
print(*(name in sys.modules for name in heavy))
import open_clip, torch, torchvision
model = open_clip.create_model("convnext_tiny")
import timm
print(isinstance(model.visual.trunk, timm.models.ConvNeXt), torch._dynamo.__file__.endswith("__init__.py"))
print(torchvision.ops.roi_align(torch.ones(1, 1, 8, 8), torch.tensor([[0.0, 0, 0, 4, 4]]), 2).sum().item() == 4)
print(torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item() == 2)
"""
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert out == ["False"] * 4 + ["True"] * 4
