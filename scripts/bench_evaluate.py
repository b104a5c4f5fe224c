"""Speed of the evaluation against peers, measured in the same run, on the same inputs and threads.

    python scripts/bench_evaluate.py --photos DIR --captions captions_val2017.json --flickr-tokens Flickr8k.token.txt

Prints ratios.  Untrained weights: they cost the same time as trained ones and say nothing about quality.
``clip_benchmark`` and ``rbo`` are compared where they are installed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

SPEC = "openclip:ViT-B-32/untrained"


def seconds(work, repeat=1):
    best = float("inf")
    for _ in range(repeat):
        started = time.perf_counter()
        work()
        best = min(best, time.perf_counter() - started)
    return best


def metrics() -> None:
    """AO + JS + RBO at 10 together, pairs a second, on one core."""
    from parabench.metrics import compute

    rng = np.random.default_rng(0)
    a, b = (rng.permuted(np.tile(np.arange(30, dtype=np.int32), (300_000, 1)), axis=1)[:, :10] for _ in range(2))
    names = ["AO@10", "JS@10", "RBO(p=0.9)@10"]
    ours = len(a) / seconds(lambda: compute(names, a, b), 7)

    def loop(count=3000):
        for s, t in zip(a[:count].tolist(), b[:count].tolist(), strict=True):
            shared = [len(set(s[:d]) & set(t[:d])) for d in range(1, 11)]
            sum(x / d for d, x in enumerate(shared, 1)) / 10, shared[-1] / (20 - shared[-1])
            sum(x / d * 0.9**d for d, x in enumerate(shared, 1))

    plain = 3000 / seconds(loop)
    print(f"metrics: {ours / 1e6:.1f} M pairs/s; {ours / plain:.0f}x a Python loop")
    try:
        import rbo
    except ImportError:
        print("metrics: the rbo package is not installed")
        return
    peer = 300 / seconds(lambda: [rbo.RankingSimilarity(s, t).rbo_ext(p=0.9) for s, t in zip(a[:300].tolist(), b[:300].tolist(), strict=True)])
    print(f"metrics: {ours / peer:.0f}x the rbo package (which computes one of the three)")


def text(captions: Path, count: int) -> None:
    """Text throughput against open_clip's own loop."""
    import open_clip
    import torch

    from parabench.encoders import load_encoder
    from parabench.retrieval import Embedder

    texts = [entry["caption"] for entry in json.loads(captions.read_text())["annotations"][:count]]
    encoder = load_encoder(SPEC)
    model, tokenizer = open_clip.create_model("ViT-B-32").eval(), open_clip.get_tokenizer("ViT-B-32")
    encoder.encode_text(texts[:64])

    def peer():
        with torch.inference_mode():
            for start in range(0, len(texts), 64):
                model.encode_text(tokenizer(texts[start : start + 64]))

    ours, theirs = seconds(lambda: Embedder(encoder).texts(texts)), seconds(peer)
    print(f"text: {len(texts) / ours:.0f} captions/s, open_clip's loop {len(texts) / theirs:.0f}: {theirs / ours:.1f}x")


def linear() -> None:
    """The widening layer of ViT-B-32's image tower (GELU included) on 24 pictures: packed weights against torch's own."""
    import torch

    from parabench.encoders.clip_towers import Linear

    weight, bias, rows = torch.randn(3072, 768), torch.randn(3072), torch.randn(24 * 50, 768)
    with torch.inference_mode():
        packed, plain = (Linear(weight, bias, packed=packed, gelu=True) for packed in (True, False))
        ours, theirs = (seconds(lambda layer=layer: [layer(rows) for _ in range(20)], 5) for layer in (packed, plain))
    operations = 20 * 2 * rows.numel() * len(weight)
    print(f"linear: {operations / ours / 1e9:.0f} GFLOPS packed, {operations / theirs / 1e9:.0f} by torch's own: {theirs / ours:.2f}x")


def write_set(folder: Path, photos: Path, tokens: Path, count: int) -> list[list[str]]:
    captions: dict[str, list[str]] = {}
    for line in tokens.read_text(encoding="utf-8").splitlines():
        key, caption = line.split("\t", 1)
        captions.setdefault(key.partition("#")[0], []).append(caption)
    names = sorted(path.name for path in photos.glob("*.jpg") if path.name in captions)[:count]
    with (folder / "pairs.jsonl").open("w", encoding="utf-8") as stream:
        for name in names:
            for number, caption in enumerate(captions[name][:5]):
                other = captions[name][(number + 1) % 5]
                stream.write(json.dumps({"image_id": name, "file_name": name, "caption": caption, "paraphrase": other}) + "\n")
    return [captions[name][:5] for name in names]


def run(arguments: list[str], env: dict[str, str]) -> tuple[float, float]:
    """Wall seconds and peak memory (MB) of a process; what Python compiles it may keep, as in anybody's shell."""
    env = {name: value for name, value in env.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen([sys.executable, *arguments], env=env, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"failed: {arguments}")
    return time.perf_counter() - started, usage.ru_maxrss / 1024


def whole(photos: Path, tokens: Path, count: int) -> None:
    """A cold and a warm evaluation as processes, the share outside the network, and CLIP_benchmark on the same.

    Cold: nothing of ours is cached.  The libraries' files are in memory for both sides, whichever runs first.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_set(folder, photos, tokens, count)
        env = {**os.environ, "PARABENCH_CACHE": str(folder / "cache")}
        command = ["-m", "parabench", "evaluate", "-m", SPEC, "-d", str(folder / "pairs.jsonl"), "--images", str(photos), "--no-report"]
        run(["-c", "import open_clip"], env)
        cold, memory = run([*command, "-o", str(folder / "cold")], env)
        timings = json.loads((folder / "cold" / "result.json").read_text())["timings"]
        warm, warm_memory = min(run([*command, "-o", str(folder / "cold")], env) for _ in range(3))
        embedded = timings["forward_text"] + timings["forward_images"]
        strict, share = (1 - forward / timings["embed_and_rank"] for forward in (embedded, embedded + timings["ceiling"]))
        print(f"evaluate: cold {cold:.1f} s, {memory:.0f} MB; warm {warm:.2f} s, {warm_memory:.0f} MB: {cold / warm:.0f}x")
        print(f"evaluate: {share:.1%} of embedding and ranking is outside the network's forward pass; {strict:.1%} with the ceiling's pass")
        try:
            import clip_benchmark  # noqa: F401
        except ImportError:
            print("evaluate: clip_benchmark is not installed")
            return
        peer, peer_memory = run([__file__, "--peer", str(folder / "pairs.jsonl"), "--photos", str(photos)], env)
        print(f"evaluate: CLIP_benchmark {peer:.1f} s, {peer_memory:.0f} MB: {peer / cold:.1f}x")


def peer(pairs: Path, photos: Path) -> None:
    """CLIP_benchmark's retrieval on the same pictures and captions, in a process of its own."""
    import open_clip
    import torch
    from clip_benchmark.metrics import zeroshot_retrieval
    from PIL import Image

    model, _, transform = open_clip.create_model_and_transforms("ViT-B-32", pretrained=None)
    model.eval()
    captions: dict[str, list[str]] = {}
    for line in pairs.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        captions.setdefault(row["image_id"], []).append(row["caption"])
    items = [(transform(Image.open(photos / name).convert("RGB")), own) for name, own in captions.items()]

    def batches():
        for start in range(0, len(items), 64):
            part = items[start : start + 64]
            yield torch.stack([image for image, _ in part]), [own for _, own in part]

    zeroshot_retrieval.evaluate(model, list(batches()), open_clip.get_tokenizer("ViT-B-32"), "cpu", amp=False)


def help_time() -> None:
    best = min(run(["-m", "parabench", "--help"], dict(os.environ))[0] for _ in range(3))
    print(f"help: parabench --help takes {best:.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--captions", type=Path)
    parser.add_argument("--flickr-tokens", type=Path)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--texts", type=int, default=2000)
    parser.add_argument("--peer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--metrics", action="store_true", help="only the metrics")
    options = parser.parse_args()
    if options.peer:
        return peer(options.peer, options.photos)
    if options.metrics:
        return metrics()
    help_time()
    subprocess.run([sys.executable, __file__, "--metrics"], check=True)
    if options.photos and options.flickr_tokens:  # while this process is small: what it starts is measured as no smaller
        whole(options.photos, options.flickr_tokens, options.count)
    linear()
    if options.captions:
        text(options.captions, options.texts)
    print(f"peak memory of this script {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")
    return None


if __name__ == "__main__":
    main()
