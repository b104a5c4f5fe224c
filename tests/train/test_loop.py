"""The loop: it learns, goes on bit for bit after kill -9, and stops with a clear line when it must."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from parabench.errors import ModelError, ParabenchError
from parabench.train import train
from parabench.train.log import read_log


def losses(folder):
    return [line["loss"] for line in read_log(Path(folder) / "training" / "log.jsonl") if "loss" in line]


def same_weights(a, b):
    left, right = (load_file(Path(folder) / "model.safetensors") for folder in (a, b))
    assert left.keys() == right.keys()
    for name, value in left.items():
        assert torch.equal(value, right[name]), name


@pytest.mark.parametrize("strategy", ["scratch", "align"])
def test_it_overfits(tmp_path, recipe_of, strategy):
    recipe = recipe_of(strategy, optimiser__steps=150, optimiser__batch=20, optimiser__weight_decay=0.0, run__checkpoint_every=150)
    folder = train(recipe, tmp_path / "m", device="cpu")
    curve = losses(folder)
    assert curve[0] > 2.5 and min(curve[-5:]) < 0.1


@pytest.mark.parametrize(("strategy", "loss", "changes"), [
    ("scratch", "infonce", {}),
    ("finetune", "three-term", {"optimiser__ema": 0.9, "optimiser__chunk": 3}),
    ("align", "rank-consistency", {"optimiser__accumulate": 2}),
    ("adapter", "siglip", {"optimiser__precision": "bf16"}),
])  # fmt: skip
def test_resume_is_bit_for_bit(tmp_path, recipe_of, monkeypatch, strategy, loss, changes):
    """Interrupted between checkpoints, in the middle of everything, and started again."""
    from parabench.train.optimiser import set_lr

    recipe = recipe_of(strategy, loss, **changes)
    train(recipe, tmp_path / "whole", device="cpu")

    def interrupt(optimiser, step, settings):
        if step == 6:
            raise KeyboardInterrupt
        return set_lr(optimiser, step, settings)

    with monkeypatch.context() as patch:
        patch.setattr("parabench.train.loop.set_lr", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(recipe, tmp_path / "cut", device="cpu")
    torch.manual_seed(12345)
    train(recipe, tmp_path / "cut", device="cpu")
    assert losses(tmp_path / "cut") == losses(tmp_path / "whole")
    same_weights(tmp_path / "cut", tmp_path / "whole")


def test_kill_9_and_resume(tmp_path, recipe_of):
    recipe = recipe_of("finetune", optimiser__steps=60, optimiser__warmup=5, run__checkpoint_every=3)
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe.to_yaml())
    train(recipe, tmp_path / "whole", device="cpu")
    command = [sys.executable, "-m", "parabench", "train", str(path), "--device", "cpu", "--out", str(tmp_path / "killed")]
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL)
    checkpoints = tmp_path / "killed" / "training" / "checkpoints"
    limit = time.monotonic() + 240
    while not list(checkpoints.glob("step-*.json")) and time.monotonic() < limit:
        time.sleep(0.02)
    time.sleep(float(np.random.default_rng().uniform(0, 0.2)))
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (tmp_path / "killed" / "parabench.json").exists()
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert "going on from step" in done.stderr
    same_weights(tmp_path / "killed", tmp_path / "whole")
    assert losses(tmp_path / "killed") == losses(tmp_path / "whole")
    again = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300)
    assert again.returncode == 0 and "trained already" in again.stderr


@pytest.mark.parametrize("damage", ["cut", "flipped", "no record", "half a record"])
def test_a_broken_checkpoint_is_passed_over_aloud(tmp_path, recipe_of, monkeypatch, capsys, damage):
    recipe = recipe_of("scratch")
    train(recipe, tmp_path / "whole", device="cpu")
    folder = tmp_path / "broken"
    train(recipe, folder, device="cpu")
    (folder / "parabench.json").unlink()
    last = sorted((folder / "training" / "checkpoints").glob("*.safetensors"))[-1]
    data = bytearray(last.read_bytes())
    if damage == "cut":
        last.write_bytes(data[: len(data) // 2])
    elif damage == "flipped":
        data[-5] ^= 1
        last.write_bytes(data)
    elif damage == "no record":
        last.with_suffix(".json").unlink()
    else:
        last.with_suffix(".json").write_text('{"step": 12, "sha')
    capsys.readouterr()
    train(recipe, folder, device="cpu")
    said = capsys.readouterr().err
    assert f"{last.name} is corrupt or half-written" in said and "going on from step 8" in said
    same_weights(folder, tmp_path / "whole")


def test_a_checkpoint_of_another_recipe_or_architecture_is_refused(tmp_path, recipe_of, capsys):
    folder = tmp_path / "m"
    train(recipe_of("align"), folder, device="cpu")
    with pytest.raises(ModelError, match=r"another recipe.*--overwrite"):
        train(recipe_of("align", strategy__layers=1), folder, device="cpu")
    (folder / "parabench.json").unlink()
    with pytest.raises(ModelError, match="belongs to another recipe"):
        train(recipe_of("align", strategy__layers=1), folder, device="cpu")
    other = recipe_of("align", strategy__layers=1)
    for record in (folder / "training" / "checkpoints").glob("*.json"):
        record.write_text(json.dumps(json.loads(record.read_text()) | {"recipe": other.digest}))
    with pytest.raises(ModelError, match=r"belongs to another architecture: .*alignment"):
        train(other, folder, device="cpu")
    train(other, folder, device="cpu", overwrite=True)
    assert (folder / "parabench.json").exists()


def test_a_loss_that_is_not_finite_stops_the_run(tmp_path, recipe_of, monkeypatch):
    from parabench.train.losses.contrastive import InfoNCE

    healthy, calls = InfoNCE.__call__, []

    def sick(self, batch):
        calls.append(1)
        return healthy(self, batch) * (float("nan") if len(calls) == 7 else 1)

    monkeypatch.setattr(InfoNCE, "__call__", sick)
    with pytest.raises(ParabenchError, match=r"the loss is nan at step 7.*last good checkpoint is step 4.*lower optimiser\.lr"):
        train(recipe_of("scratch"), tmp_path / "m", device="cpu")


def test_out_of_memory_says_which_knob(tmp_path, recipe_of, monkeypatch):
    from parabench.towers.dual_encoder import DualEncoder

    def full(self, *_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(DualEncoder, "forward", full)
    with pytest.raises(ParabenchError, match=r"out of memory on cpu with 8 pictures.*optimiser\.chunk=4"):
        train(recipe_of("scratch"), tmp_path / "m", device="cpu")


def test_a_device_that_is_absent(tmp_path, recipe_of):
    if torch.cuda.is_available():
        pytest.skip("there is a CUDA device")
    with pytest.raises(ModelError, match="'cuda' was asked for"):
        train(recipe_of(), tmp_path / "m", device="cuda")


@pytest.mark.parametrize("loss", ["infonce", "siglip", "three-term"])
def test_cached_gradients_are_the_gradients(recipe_of, loss):
    """In chunks of any size, with dropout alive: the gradient of the whole batch."""
    from parabench.train.distributed import Ranks
    from parabench.train.setup import prepare
    from parabench.train.step import Step

    place = Ranks(0, 1, "cpu")
    recipe = recipe_of("scratch", loss)
    setup = prepare(recipe, place)
    batch = next(setup.batches.batches(setup.batches.start()))
    setup.model.train()
    found = []
    for chunk in (None, 3, 1):
        setup.model.zero_grad()
        value = Step(setup.model, recipe.loss, place, chunk=chunk, autocast=False)(batch, 0.5)
        found.append((float(value), {name: p.grad.clone() for name, p in setup.model.named_parameters()}))
    for value, gradients in found[1:]:
        assert value == pytest.approx(found[0][0], abs=1e-6)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, found[0][1][name], atol=1e-5, rtol=1e-4, msg=lambda text, name=name: f"{name}: {text}")


def test_dropout_is_the_same_in_both_passes_of_cached_gradients(recipe_of):
    """With one chunk less than the batch the random state must be repeated, or the gradients belong to another network."""
    from parabench.train.distributed import Ranks
    from parabench.train.setup import prepare
    from parabench.train.step import Step

    place = Ranks(0, 1, "cpu")
    recipe = recipe_of("finetune")
    setup = prepare(recipe, place)
    batch = next(setup.batches.batches(setup.batches.start()))
    setup.model.train()
    seen = []
    setup.model.text.projection.register_forward_hook(lambda _, __, output: seen.append(output.detach().clone()))
    Step(setup.model, recipe.loss, place, chunk=4, autocast=False)(batch)
    assert torch.equal(seen[0], seen[2]) and torch.equal(seen[1], seen[3])
    assert not torch.equal(seen[0], seen[1])


def test_cached_and_uncached_training_agree(tmp_path, recipe_of):
    cached = train(recipe_of("align", data__cache=True), tmp_path / "a", device="cpu")
    plain = train(recipe_of("align", data__cache=False), tmp_path / "b", device="cpu")
    np.testing.assert_allclose(losses(cached), losses(plain), atol=2e-4)
    np.testing.assert_allclose(losses(cached)[:3], losses(plain)[:3], atol=1e-5)


def test_moving_averages_are_saved(tmp_path, recipe_of):
    plain = train(recipe_of("scratch"), tmp_path / "a", device="cpu")
    averaged = train(recipe_of("scratch", optimiser__ema=0.5), tmp_path / "b", device="cpu")
    assert losses(plain) == losses(averaged)
    a, b = (load_file(folder / "model.safetensors")["text.projection.weight"] for folder in (plain, averaged))
    assert 0 < (a - b).abs().max() < 0.1


def test_the_scale_is_clamped(tmp_path, recipe_of):
    folder = train(recipe_of("scratch", optimiser__max_scale=10.0), tmp_path / "m", device="cpu")
    scales = [line["scale"] for line in read_log(folder / "training" / "log.jsonl")]
    assert max(scales) <= 10 + 1e-4 and scales[0] == pytest.approx(10, abs=1e-4), "CLIP starts at 14.3"


def test_evaluation_in_training_changes_nothing(tmp_path, recipe_of):
    """It sees an encoder, may draw random numbers, and leaves the run as it was."""
    seen = []

    def evaluate(encoder):
        torch.rand(7)
        seen.append(encoder.spec)
        assert encoder.encode_text(["a red dog", "x"]).shape == (2, 16) and encoder.encode_images(["p1.jpg"]).shape == (1, 16)
        return {"AO@10": 0.5}

    recipe = recipe_of("finetune", evaluation={"dataset": "scenes", "every": 5})
    train(recipe, tmp_path / "a", device="cpu")
    folder = train(recipe, tmp_path / "b", evaluate=evaluate, device="cpu")
    assert seen == ["parabench:test@step-5", "parabench:test@step-10", "parabench:test@final"]
    same_weights(tmp_path / "a", folder)
    lines = [line for line in read_log(folder / "training" / "log.jsonl") if "AO@10" in line]
    assert [line["step"] for line in lines] == [5, 10]
    assert "| AO@10 | 0.5000 |" in (folder / "README.md").read_text()


def test_the_model_card_says_what_was_done(tmp_path, recipe_of):
    folder = train(recipe_of("align", "rank-consistency"), tmp_path / "m", device="cpu")
    card = (folder / "README.md").read_text()
    head = card.split("---")[1]
    import yaml

    assert yaml.safe_load(head)["library_name"] == "parabench"
    for part in ("| strategy | align, layers 2", "| loss | rank-consistency, weight 1.0, divergence js", "40 pictures, 120 captions", "torch ", "None were measured"):
        assert part in card, part
    from parabench.train import Recipe

    assert Recipe.load(folder / "recipe.yaml").digest == recipe_of("align", "rank-consistency").digest


def test_scratch_with_an_open_clip_tower_loads_in_open_clip(tmp_path, recipe_of):
    import open_clip
    from PIL import Image

    from parabench.encoders import load_encoder

    (tmp_path / "images").mkdir()
    for number in range(40):
        Image.new("RGB", (32, 32), (number * 6, 9, 9)).save(tmp_path / "images" / f"p{number}.jpg")
    vision = {"image_size": 32, "layers": 1, "width": 32, "head_width": 16, "patch_size": 16}
    recipe = recipe_of("scratch", data__images=str(tmp_path / "images"), optimiser__steps=3, data__augment=True,
                       image={"kind": "open_clip", "vision": vision, "projection": "none"})  # fmt: skip
    folder = train(recipe, tmp_path / "m", device="cpu")
    model, _, transform = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    encoder = load_encoder(f"parabench:{folder}")
    texts, picture = ["a red dog", "the boat"], Image.new("RGB", (50, 40), (200, 10, 10))
    with torch.no_grad():
        np.testing.assert_allclose(encoder.encode_text(texts), model.eval().encode_text(tokenizer(texts)).numpy(), atol=1e-5)
        np.testing.assert_allclose(encoder.encode_images([picture]), model.encode_image(transform(picture)[None]).numpy(), atol=1e-5)


def test_the_command_trains_and_evaluates(tmp_path):
    """A built-in recipe end to end, by its command, with the real evaluation."""
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "parabench", "train", "scenes-scratch", "--out", str(tmp_path / "m"), "--json", "--device", "cpu",
               "--set", "optimiser.steps=3", "--set", "optimiser.warmup=1", "--set", "data.limit=64", "--set", "optimiser.batch=32",
               "--set", "text.layers=1", "--set", "text.width=32", "--set", "text.heads=2"]  # fmt: skip
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=400)
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert {"AO@10", "JS@10", "R@1", "R@5", "R@10"} <= said["scores"].keys() and said["parameters"]["trained"] > 0
    wrong = subprocess.run([*command[:4], "scenes-scratsh"], env=env, capture_output=True, text=True, timeout=100)
    assert wrong.returncode == 2 and "did you mean 'scenes-scratch'" in wrong.stderr and "Traceback" not in wrong.stderr


def test_every_built_in_recipe_is_valid():
    from parabench.train import Recipe, recipes

    names = recipes()
    wanted = {f"scenes-{s}" for s in ("scratch", "frozen", "adapter", "align")} | {"coco", "cc12m", "laion400m", "flickr8k-features-align", "flickr8k-features-scratch"}
    assert wanted <= names.keys()
    for name, text in names.items():
        recipe = Recipe.load(name)
        assert recipe.name == name and f"train {name}" in text and "xpected" in text
