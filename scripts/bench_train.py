"""Speed of training against open_clip's own step: same towers, data, threads and precision, in one run.

    python scripts/bench_train.py [--lm sentence-transformers/all-MiniLM-L6-v2] [--batch 16] [--steps 4]

Prints samples a second, ratios and peak memory; every variant runs in a process of its own.  Untrained weights and
made-up captions and pixels: they cost the same time as real ones and say nothing about quality.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import time

VARIANTS = ("open_clip", "ours", "open_clip-locked-lm", "ours-frozen-lm", "ours-both-locked", "ours-cached")
WORDS = ["a", "the", "two", "red", "dog", "boat", "on", "in", "lake", "man", "woman", "with", "white", "of", "and", "near", "street", "standing", "holding", "small"]


def captions(count: int) -> list[str]:
    chance = random.Random(0)
    return [" ".join(chance.choice(WORDS) for _ in range(chance.randint(8, 14))) for _ in range(count)]


def step_of(variant: str, options: argparse.Namespace):
    """A function that does one optimiser step on prepared pixels and raw captions."""
    import open_clip
    import torch

    torch.manual_seed(0)
    torch.set_num_threads(options.threads)
    pixels = torch.randn(options.batch, 3, 224, 224, device=options.device)
    texts = captions(options.batch)
    locked = "lock" in variant or "frozen" in variant or "cached" in variant
    if variant.startswith("open_clip"):
        if locked:
            text = {"hf_model_name": options.lm, "hf_tokenizer_name": options.lm, "hf_model_pretrained": True, "hf_pooler_type": "mean_pooler", "hf_proj_type": "linear"}
            vision = open_clip.get_model_config("ViT-B-32")["vision_cfg"]
            model = open_clip.CustomTextCLIP(embed_dim=512, vision_cfg=vision, text_cfg=text)
            model.lock_text_tower(unlocked_layers=0)
            model.text.proj.requires_grad_(True)
            tokenizer = open_clip.tokenizer.HFTokenizer(options.lm, context_length=77)
        else:
            model, tokenizer = open_clip.create_model("ViT-B-32"), open_clip.get_tokenizer("ViT-B-32")
        model.to(options.device).train()
        loss = open_clip.ClipLoss()
        optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)

        def step():
            image, text, scale = model(pixels, tokenizer(texts).to(options.device))
            loss(image, text, scale).backward()
            optimiser.step()
            optimiser.zero_grad()
            with torch.no_grad():
                model.logit_scale.clamp_(0, 4.6052)

        return step

    from parabench.towers.dual_encoder import DualEncoder
    from parabench.towers.texts import Texts
    from parabench.towers.tokens import tokenize
    from parabench.train import Recipe
    from parabench.train.data.batches import Batch
    from parabench.train.distributed import Ranks
    from parabench.train.optimiser import adamw
    from parabench.train.step import Step
    from parabench.train.strategies.base import apply

    image = {"kind": "open_clip", "name": "ViT-B-32", "projection": "linear" if variant in ("ours-both-locked", "ours-cached") else "none", "locked": variant in ("ours-both-locked", "ours-cached")}
    recipe = Recipe.parse({
        "name": "bench", "data": {"kind": "benchmark"}, "image": image, "text": {"model": options.lm} if locked else {},
        "strategy": "frozen" if locked else "scratch", "loss": "infonce", "embed_dim": 512,
        "optimiser": {"batch": options.batch, "lr": 1e-4}, "run": {"threads": options.threads},
    })  # fmt: skip
    model = DualEncoder.build(recipe.model()).to(options.device)
    apply(recipe.strategy, model)
    model.train()
    images, stored = pixels, None
    if variant == "ours-cached":
        with torch.no_grad():
            images = model.image.vectors(pixels)
            stored = model.text.cacheable(tokenize(model.text.tokenizer, texts).to(options.device))
    optimiser = adamw(model, recipe.optimiser)
    one = Step(model, recipe.loss, Ranks(0, 1, options.device), chunk=None, autocast=False)
    parameters = [p for p in model.parameters() if p.requires_grad]

    def ours():
        views: list[Texts] = [stored if stored is not None else tokenize(model.text.tokenizer, texts).to(options.device)]
        one(Batch(images, views, torch.arange(options.batch, device=options.device), {}))
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step()
        optimiser.zero_grad()
        with torch.no_grad():
            model.logit_scale.clamp_(0, 4.6052)

    return ours


def child(options: argparse.Namespace) -> None:
    """Time one variant; CPU seconds beside wall seconds, since other work on the machine changes only the second."""
    import resource

    import torch

    step = step_of(options.variant, options)
    step()
    wait = torch.cuda.synchronize if options.device.startswith("cuda") else lambda: None
    best, processor = float("inf"), float("inf")
    for _ in range(options.steps):
        wait()
        wall, cpu = time.perf_counter(), time.process_time()
        for _ in range(options.repeat):
            step()
        wait()
        best, processor = min(best, time.perf_counter() - wall), min(processor, time.process_time() - cpu)
    memory = torch.cuda.max_memory_allocated() / 2**20 if options.device.startswith("cuda") else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    samples = options.batch * options.repeat
    print(json.dumps({"wall": samples / best, "cpu": samples / processor, "memory": memory}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lm", default="sentence-transformers/all-MiniLM-L6-v2")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--repeat", type=int, default=1, help="steps in one timing")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=VARIANTS)
    parser.add_argument("--variant", choices=VARIANTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.variant:
        return child(options)
    found = {}
    for variant in options.only:
        done = subprocess.run([sys.executable, __file__, "--variant", variant, *sys.argv[1:]], capture_output=True, text=True,
                              env={**os.environ, "OMP_NUM_THREADS": str(options.threads)})  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{variant} failed:\n{done.stderr[-2000:]}")
        found[variant] = json.loads(done.stdout.splitlines()[-1])
        print(f"{variant:22s} {found[variant]['wall']:9.2f} samples/s, {found[variant]['cpu']:9.2f} by CPU time, {found[variant]['memory']:6.0f} MB", flush=True)
    for name, ours, theirs in (("all trained", "ours", "open_clip"), ("locked language model", "ours-frozen-lm", "open_clip-locked-lm"),
                               ("both towers frozen, cached against uncached", "ours-cached", "ours-both-locked")):  # fmt: skip
        if ours not in found or theirs not in found:
            continue
        print(f"{name}: {found[ours]['wall'] / found[theirs]['wall']:.2f}x ({found[ours]['cpu'] / found[theirs]['cpu']:.2f}x by CPU time)")
    return None


if __name__ == "__main__":
    main()
