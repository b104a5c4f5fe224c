"""A strategy and a loss of another package, found by their entry points, train a model and are named in its record."""

from __future__ import annotations

import json
import os
import subprocess
import sys

PLUGIN = '''
from typing import ClassVar, Literal

from parabench.train.losses.base import Loss
from parabench.train.strategies.base import Strategy


class WeightOnly(Strategy):
    trunk: ClassVar[Literal["all", "some", "frozen"]] = "frozen"
    name: Literal["weight-only"] = "weight-only"

    def trains(self, tower):
        return (name for name, _ in tower.named_parameters() if name == "projection.weight")


class Distance(Loss):
    name: Literal["distance"] = "distance"
    power: int = 2

    def __call__(self, batch):
        return (batch.image - batch.texts["caption"]).abs().pow(self.power).sum(1).mean()
'''
ENTRY_POINTS = "[parabench.strategies]\nweight-only = theirs:WeightOnly\n[parabench.losses]\ndistance = theirs:Distance\n"


def test_plugins_train(tmp_path, recipe_of):
    (tmp_path / "site" / "theirs-1.0.dist-info").mkdir(parents=True)
    (tmp_path / "site" / "theirs.py").write_text(PLUGIN)
    (tmp_path / "site" / "theirs-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (tmp_path / "site" / "theirs-1.0.dist-info" / "entry_points.txt").write_text(ENTRY_POINTS)
    recipe = tmp_path / "plugin.yaml"
    values = recipe_of("frozen").model_dump(mode="json", exclude_defaults=True)
    recipe.write_text(json.dumps(values | {"strategy": "weight-only", "loss": {"name": "distance", "power": 4}}))
    path = os.pathsep.join([str(tmp_path / "site"), *filter(None, [os.environ.get("PYTHONPATH")])])

    def train(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "parabench", "train", str(recipe), "-o", str(tmp_path / "model"), *arguments],
            env={**os.environ, "PYTHONPATH": path}, capture_output=True, text=True, timeout=300,
        )  # fmt: skip

    done = train()
    assert done.returncode == 0, done.stderr
    record = json.loads((tmp_path / "model" / "parabench.json").read_text())["training"]
    assert (record["recipe"]["strategy"]["name"], record["recipe"]["loss"]) == ("weight-only", {"name": "distance", "power": 4})
    # the map of the pictures' vectors, the scale, and of the text tower one matrix
    assert record["parameters"]["trained"] == 24 * 16 + 1 + 32 * 16
    wrong = train("--set", "loss.powr=2")
    assert wrong.returncode == 2 and "power" in wrong.stderr and "Traceback" not in wrong.stderr
