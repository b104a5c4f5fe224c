"""Losses against open_clip, against loops over the written equations, and the same on two ranks as on one."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn import functional

from parabench.train.losses.base import LOSSES, Embedded
from parabench.train.losses.paraphrase import jensen_shannon, symmetric_kl


def embedded(views, n=6, dim=5, groups=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    vectors = [functional.normalize(torch.randn(n, dim, generator=generator), dim=1) for _ in range(len(views) + 1)]
    groups = torch.arange(n) if groups is None else torch.tensor(groups)
    return Embedded(vectors[0], dict(zip(views, vectors[1:], strict=True)), groups, torch.tensor(7.0), torch.tensor(-2.0))


def loss_of(name, **options):
    return LOSSES.get(name)(**options)


def test_infonce_is_open_clips_clip_loss():
    import open_clip

    batch = embedded(("caption",))
    expected = open_clip.ClipLoss()(batch.image, batch.texts["caption"], batch.scale)
    torch.testing.assert_close(loss_of("infonce")(batch), expected)


def test_siglip_is_open_clips_siglip_loss():
    import open_clip

    batch = embedded(("caption",))
    expected = open_clip.loss.SigLipLoss()(batch.image, batch.texts["caption"], batch.scale, batch.bias)
    torch.testing.assert_close(loss_of("siglip")(batch), expected)


def nce(a, b, scale=7.0):
    """Symmetric InfoNCE by loops, in float64."""
    a, b = a.double().numpy(), b.double().numpy()
    total = 0.0
    for left, right in ((a, b), (b, a)):
        for i in range(len(left)):
            scores = np.array([scale * left[i] @ right[j] for j in range(len(right))])
            total += np.log(np.exp(scores - scores.max()).sum()) + scores.max() - scores[i]
    return total / (2 * len(a))


def test_paraphrase_losses_follow_their_equations():
    batch = embedded(("caption", "rewrite", "rewrite2"))
    image, (t, t1, t2) = batch.image, batch.texts.values()
    assert float(loss_of("three-term")(batch)) == pytest.approx(nce(image, t2) + nce(t, t1) + nce(t1, t2), rel=1e-5)
    match = (nce(image, t) + nce(image, t1)) / 2
    cosine = (t.double() * t1.double()).sum(1)
    assert float(loss_of("embedding-consistency", weight=0.3)(batch)) == pytest.approx(match + 0.3 * float((1 - cosine).mean()), rel=1e-5)
    from scipy.spatial.distance import jensenshannon
    from scipy.stats import entropy

    p, q = (torch.softmax(7.0 * text.double() @ image.double().T, dim=1).numpy() for text in (t, t1))
    js = np.mean([jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)])
    kl = np.mean([(entropy(a, b) + entropy(b, a)) / 2 for a, b in zip(p, q, strict=True)])
    assert float(loss_of("rank-consistency", weight=0.5)(batch)) == pytest.approx(match + 0.5 * js, rel=1e-5)
    assert float(loss_of("rank-consistency", weight=0.5, divergence="kl")(batch)) == pytest.approx(match + 0.5 * kl, rel=1e-5)
    sampled = Embedded(image, {"sampled": t1}, batch.groups, batch.scale, batch.bias)
    assert float(loss_of("sampled-rewrites")(sampled)) == pytest.approx(nce(image, t1), rel=1e-5)


def test_divergences_at_their_ends():
    same = torch.log_softmax(torch.randn(3, 4), dim=1)
    far = torch.log(torch.tensor([[1 - 1e-9, 1e-9], [1e-9, 1 - 1e-9]], dtype=torch.float64))
    assert jensen_shannon(same, same).abs().max() < 1e-6 and symmetric_kl(same, same).abs().max() < 1e-6
    assert float(jensen_shannon(far[:1], far[1:])) == pytest.approx(np.log(2), rel=1e-6)


def test_multi_positive():
    one = embedded(("caption",))
    torch.testing.assert_close(loss_of("multi-positive", captions=1)(one), loss_of("infonce")(one))
    batch = embedded(("caption", "other1"), n=3, groups=[4, 9, 4])
    texts = torch.cat([batch.texts["caption"], batch.texts["other1"]]).double().numpy()
    images, owner, groups = batch.image.double().numpy(), [4, 9, 4, 4, 9, 4], [4, 9, 4]

    def spread(left, rows, right, columns):
        total = 0.0
        for i, row in enumerate(left):
            scores = 7.0 * right @ row
            logs = scores - np.log(np.exp(scores).sum())
            positive = [logs[j] for j in range(len(right)) if columns[j] == rows[i]]
            total -= np.mean(positive)
        return total / len(left)

    expected = (spread(images, groups, texts, owner) + spread(texts, owner, images, groups)) / 2
    assert float(loss_of("multi-positive")(batch)) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("name", list(LOSSES))
def test_every_loss_pulls_pairs_together(name):
    loss = loss_of(name)
    generator = torch.Generator().manual_seed(0)
    raw = [torch.randn(6, 5, generator=generator, requires_grad=True) for _ in range(1 + len(loss.views))]
    optimiser = torch.optim.Adam(raw, lr=0.1)
    for _ in range(150):
        optimiser.zero_grad()
        vectors = [functional.normalize(value, dim=1) for value in raw]
        loss(Embedded(vectors[0], dict(zip(loss.views, vectors[1:], strict=True)), torch.arange(6), torch.tensor(10.0), torch.tensor(-5.0))).backward()
        optimiser.step()
    image, text = (functional.normalize(raw[place].detach(), dim=1) for place in (0, -1))
    assert ((image @ text.T).argmax(1) == torch.arange(6)).all()


_TWO_RANKS = """
import json, os, sys
import torch
from parabench.train import Recipe, train
from parabench.train.log import read_log
torch.set_num_threads(1)
for name, values in json.load(open(sys.argv[1])).items():
    train(Recipe.parse(values), os.path.join(sys.argv[2], name), device="cpu")
"""


def curves(tmp_path, recipes, ranks):
    from parabench.train.log import read_log

    listing, script = tmp_path / "recipes.json", tmp_path / "train.py"
    listing.write_text(json.dumps(recipes))
    script.write_text(_TWO_RANKS)
    out = tmp_path / f"ranks-{ranks}"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks)] if ranks > 1 else [sys.executable]
    done = subprocess.run([*command, str(script), str(listing), str(out)], capture_output=True, text=True, timeout=500,
                          env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)})  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return {name: [line["loss"] for line in read_log(out / name / "training" / "log.jsonl")] for name in recipes}, out


def test_two_ranks_give_the_curve_of_one(tmp_path, recipe_of):
    """For every loss, with cached gradients, with accumulation and with FSDP: equal to 1e-5, and so are the weights."""
    from safetensors.torch import load_file

    recipes = {name: recipe_of(loss=name, optimiser__steps=4, optimiser__warmup=1) for name in LOSSES}
    recipes["chunked"] = recipe_of(loss="rank-consistency", optimiser__steps=4, optimiser__warmup=1, optimiser__chunk=3)
    recipes["accumulated"] = recipe_of(optimiser__steps=4, optimiser__warmup=1, optimiser__accumulate=2, optimiser__ema=0.9)
    recipes["split"] = recipe_of(optimiser__steps=4, optimiser__warmup=1, run__parallel="fsdp", optimiser__ema=0.9)
    plain = {name: recipe.model_dump() for name, recipe in recipes.items()}
    one, first = curves(tmp_path, plain, 1)
    two, second = curves(tmp_path, plain, 2)
    for name in plain:
        assert len(one[name]) == 4
        np.testing.assert_allclose(one[name], two[name], rtol=0, atol=1e-5, err_msg=name)
        left, right = (load_file(folder / name / "model.safetensors") for folder in (first, second))
        for key, value in left.items():
            torch.testing.assert_close(value, right[key], atol=2e-4, rtol=1e-3, msg=f"{name}: {key}")
