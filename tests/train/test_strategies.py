"""Exactly the declared parameters move, and what is frozen stays asleep."""

import pytest
import torch
from torch import nn

from parabench.errors import UsageError
from parabench.towers.dual_encoder import DualEncoder
from parabench.towers.tokens import tokenize
from parabench.train.losses.base import Embedded
from parabench.train.recipe import Recipe
from parabench.train.strategies.base import STRATEGIES, apply

CASES = {
    "scratch": ({"name": "scratch"}, lambda name: True),
    "finetune": ({"name": "finetune"}, lambda name: True),
    "frozen": ({"name": "frozen"}, lambda name: name.startswith("projection")),
    "bottleneck": ({"name": "adapter", "rank": 4}, lambda name: name.startswith(("projection", "adapters"))),
    "lora": ({"name": "adapter", "kind": "lora", "rank": 4}, lambda name: name.startswith("projection") or "lora_" in name),
    "align": ({"name": "align", "layers": 1}, lambda name: name.startswith(("projection", "alignment"))),
    "align-unlock": ({"name": "align-unlock", "layers": 1, "unlock": 1},
                     lambda name: name.startswith(("projection", "alignment")) or ".layer.1." in name),
}  # fmt: skip


def built(recipe_of, case):
    strategy, declared = CASES[case]
    recipe = recipe_of(strategy["name"], **{f"strategy__{key}": value for key, value in strategy.items()})
    torch.manual_seed(0)
    model = DualEncoder.build(recipe.model())
    apply(recipe.strategy, model)
    return recipe, model, declared


def test_every_strategy_is_tested():
    assert {strategy["name"] for strategy, _ in CASES.values()} == set(STRATEGIES)


@pytest.mark.parametrize("case", CASES)
def test_exactly_the_declared_parameters_move(recipe_of, case):
    recipe, model, declared = built(recipe_of, case)
    before = {name: value.clone() for name, value in model.named_parameters()}
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    texts = tokenize(model.text.tokenizer, [f"a {word}" for word in ["dog", "cat", "boat", "car", "tree", "house", "cup", "ball"]])
    images = torch.randn(8, 24)
    model.train()
    for _ in range(3):  # branches that start at zero let gradients in from the second step on
        optimiser.zero_grad()
        image, views, scale, bias = model(images, [texts])
        recipe.loss(Embedded(image, {"caption": views[0]}, torch.arange(8), scale, bias)).backward()
        assert all(value.grad is None for value in model.parameters() if not value.requires_grad)
        optimiser.step()
    for name, value in model.named_parameters():
        inside = name.removeprefix("text.")
        expected = declared(inside) if name.startswith("text.") else True
        moved = not torch.equal(value, before[name])
        if expected and "embedding" in name:
            assert moved or "token_type" in name or value.ndim < 2, name
        elif expected and name.endswith(("key.bias", "key.base_layer.bias")):
            continue  # a shift of all keys cancels in the softmax: its gradient is zero
        else:
            assert moved == expected, name


@pytest.mark.parametrize("case", CASES)
def test_frozen_parts_stay_in_eval_mode(recipe_of, case):
    _, model, declared = built(recipe_of, case)
    model.eval()
    model.train()
    for name, module in model.text.named_modules():
        own = [f"{name}.{key}".lstrip(".") for key, _ in module.named_parameters()]
        if own and all(declared(key) for key in own):
            assert module.training, name
        elif own:
            assert not module.training, name
    if case in ("frozen", "bottleneck", "lora", "align"):
        awake = [name for name, module in model.text.trunk.named_modules() if isinstance(module, nn.Dropout) and module.training]
        assert awake == [], "dropout of a frozen language model"
        texts = tokenize(model.text.tokenizer, ["a dog on the lake", "a boat"])
        torch.testing.assert_close(model.text(texts), model.text(texts), atol=0, rtol=0)
    if case in ("frozen", "align"):
        assert not model.text.states(tokenize(model.text.tokenizer, ["a dog"])).requires_grad


def test_batch_statistics_of_a_locked_image_tower_stay():
    from parabench.towers.modes import PartlyFrozen

    class Tower(PartlyFrozen):
        def __init__(self):
            super().__init__()
            self.trunk = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
            self.head = nn.Sequential(nn.Linear(3, 2), nn.Dropout())

    tower = Tower()
    tower.trunk.requires_grad_(False)
    tower.train()
    before = tower.trunk[1].running_mean.clone()
    tower.trunk(torch.randn(5, 3))
    assert torch.equal(tower.trunk[1].running_mean, before) and tower.head[1].training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": {}}, "strategy align works on a language model"),
        ({"strategy": "scratch", "text": {"model": "x"}}, "names a language model"),
        ({"strategy": {"name": "algin"}}, "unknown strategy 'algin' → did you mean 'align'"),
        ({"strategy": {"name": "align", "layrs": 3}}, "unknown key 'layrs' → did you mean 'layers'"),
        ({"loss": "info-nce"}, "did you mean 'infonce'"),
        ({"optimiser": {"stps": 3}}, r"unknown key 'optimiser.stps' → did you mean 'steps'"),
        ({"optimizer": {}}, "unknown key 'optimizer' → did you mean 'optimiser'"),
        ({"optimiser": {"steps": "many"}}, "optimiser.steps='many'"),
        ({"optimiser": {"batch": 4, "chunk": 8}}, "chunk=8 is larger"),
        ({"image": {"kind": "cells", "projection": "none"}}, "nothing that learns"),
        ({"data": {"kind": "webdataset", "path": "x.tar"}}, "pictures up by id"),
    ],
)  # fmt: skip
def test_impossible_recipes(recipe_of, changes, message):
    values = recipe_of().model_dump() | changes
    with pytest.raises(UsageError, match=message):
        Recipe.parse(values)


def test_changes_on_the_command_line():
    changed = Recipe.load("scenes-align", ["strategy.layers=4", "optimiser.lr=1e-4", "run.seed=3", "loss=siglip"])
    assert changed.strategy.layers == 4 and changed.optimiser.lr == 1e-4 and changed.run.seed == 3
    assert changed.loss.name == "siglip" and changed.model().logit_bias == -10
    scratch = Recipe.load("scenes-align", ["strategy=scratch", "text.model=null"])
    assert scratch.model().text.kind == "clip"
    for change, message in (("strategy.layrs=4", "did you mean 'layers'"), ("steps", "not key=value"), ("run.seed=-1", "run.seed=-1")):
        with pytest.raises(UsageError, match=message):
            Recipe.load("scenes-align", [change])
    with pytest.raises(UsageError, match="did you mean 'scenes-align'"):
        Recipe.load("scene-align")
