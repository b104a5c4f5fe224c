"""What a run searches beside its own queries, from what the user asked for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from parabench.data import Benchmark
from parabench.encoders import load_encoder
from parabench.encoders.embeddings import StoredEmbeddings
from parabench.encoders.protocol import CorpusEncoder, Encoder, FloatMatrix
from parabench.errors import UsageError
from parabench.metrics import Metric
from parabench.progress import note
from parabench.retrieval.embed import Embedder
from parabench.retrieval.forward import LocalForward
from parabench.retrieval.gallery import Controls
from parabench.retrieval.gallery_sizes import Distractors, default_sizes

PRECISIONS = ("fp32", "bf16", "fp16")
CEILINGS = ("batch", *PRECISIONS, "off")
_MOST_AGAIN, _LEAST_AGAIN = 500, 50


def plan_controls(
    model: str | Encoder,
    encoder: Encoder,
    benchmark: Benchmark,
    metrics: Sequence[Metric],
    *,
    ceiling: str,
    precision: str,
    gallery_sizes: Sequence[int] | None,
    distractors: str | None,
    seed: int,
    embed_again: Callable[[Sequence[str]], FloatMatrix] | None,
) -> Controls:
    """The ceiling's sample and the other gallery sizes of a run.

    A tenth of the captions is asked again, at least 50 and at most 500, so the ceiling costs a few per cent.

    Raises:
        UsageError: an unknown ceiling, the run's own precision, a size that is too small or needs distractors.
        DataError: distractors that are not this encoder's vectors.
    """
    check_ceiling(model, ceiling, precision)
    n_captions = len(set(benchmark.pairs["caption_id"].to_pylist()))
    k = max(10, metrics[0].k or 10)
    n_images = len(benchmark.image_ids)
    added = _distractors(distractors, encoder, benchmark) if distractors is not None else None
    total = n_images + (len(added.vectors) if added is not None else 0)
    if gallery_sizes is None:
        sizes = default_sizes(n_images, total - n_images, k) if k <= n_images else ()
    else:
        sizes = tuple(sorted({size for size in gallery_sizes if size != n_images}))
        for size in sizes:
            if not k <= size <= total:
                raise UsageError(
                    f"--gallery-sizes {size} does not fit: a curve of {metrics[0]} needs at least {k}, and there are {total} pictures",
                    f"choose sizes of {k} to {total}" + ("" if added is not None else ", or add pictures with --distractors embeddings:DIR"),
                )
    return Controls(
        captions_again=0 if ceiling == "off" else min(_MOST_AGAIN, max(_LEAST_AGAIN, n_captions // 10)),
        embed_again=embed_again if ceiling in PRECISIONS else None, sizes=sizes, size_depth=k, distractors=added, seed=seed,
    )  # fmt: skip


def check_ceiling(model: str | Encoder, ceiling: str, precision: str) -> None:
    """:class:`UsageError` where the ceiling can't be measured so."""
    if ceiling not in CEILINGS:
        raise UsageError(f"unknown ceiling '{ceiling}'", f"choose one of {', '.join(CEILINGS)}")
    if ceiling == precision:
        raise UsageError(f"--ceiling {ceiling} is the precision of the run itself", "choose another precision, or batch")
    if ceiling in PRECISIONS and not isinstance(model, str):
        raise UsageError(
            f"--ceiling {ceiling} loads the model again and needs its spec, not an encoder object", "use ceiling='batch'"
        )


def other_precision(
    spec: str, precision: str, benchmark: Benchmark, *, device: str, trust_remote_code: bool, batch_size: int | None, cache: bool
) -> Callable[[Sequence[str]], FloatMatrix]:
    """A function that embeds texts with the same model in another precision, loaded in this process when it is called."""

    def embed(texts: Sequence[str]) -> FloatMatrix:
        encoder = load_encoder(spec, device=device, precision=precision, trust_remote_code=trust_remote_code)
        if isinstance(encoder, CorpusEncoder):
            encoder.fit_corpus([text for own in benchmark.gallery["captions"].to_pylist() for text in own or ()])
        with Embedder.opened(encoder, LocalForward(encoder, batch_size), cache=cache) as embedder:
            return embedder.texts(texts)

    return embed


def _distractors(spec: str, encoder: Encoder, benchmark: Benchmark) -> Distractors:
    if not spec.startswith("embeddings:"):
        raise UsageError(f"--distractors '{spec}' is not a folder of embeddings", "write --distractors embeddings:DIR")
    stored = load_encoder(spec)
    if not isinstance(stored, StoredEmbeddings):
        raise UsageError(f"--distractors '{spec}' is not a folder of embeddings", "write --distractors embeddings:DIR")
    vectors = stored.stored_images(leaving_out=benchmark.image_ids)
    if len(vectors) == 0:
        raise UsageError(f"--distractors {spec} holds no picture outside the gallery", "choose a folder of other pictures")
    if vectors.shape[1] != encoder.dim:
        raise UsageError(
            f"--distractors {spec} holds vectors of {vectors.shape[1]} dimensions and {encoder.spec} has {encoder.dim}",
            "distractors must be embedded by the model itself",
        )
    note(f"distractors: {len(vectors):,} pictures of {spec}")
    return Distractors(spec, vectors, stored.fingerprint)
