"""Search a benchmark with an encoder: by its image tower, or by the gallery's captions where it has none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from parabench.data import Benchmark, ImageStore
from parabench.data.duplicates import duplicate_groups
from parabench.encoders.protocol import Encoder, FloatMatrix, Traits
from parabench.errors import DataError
from parabench.retrieval.embed import Embedder, unit
from parabench.retrieval.gallery_sizes import Distractors, larger_tops, smaller_tops
from parabench.retrieval.queries import Queries, hash_queries, lexical_distance, words_of
from parabench.retrieval.rankings import Rankings
from parabench.retrieval.search import GalleryIndex


@dataclass(frozen=True)
class OwnPictures:
    """In a caption gallery, what stands for each query's own picture: its captions without the query's own."""

    positions: NDArray[np.int64]
    vectors: FloatMatrix


@dataclass(frozen=True)
class Controls:
    """What is searched beside the queries themselves.

    Attributes:
        captions_again: how many captions are asked a second time for the numerical ceiling; 0 for none.
        embed_again: embeds them; by default the encoder itself, in batches of another composition.
        sizes: other sizes of the gallery, ascending; above the gallery's own they need ``distractors``.
        size_depth: how many items to keep of each of them.
        size_captions: how many captions, sampled, are searched in them, with their paraphrases.
        distractors: pictures that are nobody's answer.
        seed: of the sample of captions and the order of the gallery.
    """

    captions_again: int = 0
    embed_again: Callable[[Sequence[str]], FloatMatrix] | None = None
    sizes: tuple[int, ...] = ()
    size_depth: int = 10
    size_captions: int = 1000
    distractors: Distractors | None = None
    seed: int = 0


NO_CONTROLS = Controls()


def rank(
    benchmark: Benchmark, embedder: Embedder, *, depth: int, store: ImageStore | None = None, controls: Controls = NO_CONTROLS
) -> Rankings:
    """Rank the gallery for every query of the benchmark.

    Args:
        benchmark: pairs, foils and gallery.
        embedder: the encoder with its cache.
        depth: how many gallery items to keep (K), at most the gallery's size.
        store: opens the gallery's pictures; only encoders that see pixels need it.
        controls: captions that are asked again, and other sizes of the gallery.

    Raises:
        DataError: no pairs; a picture is missing; a caption gallery lacks a second caption of a picture.
        UsageError: ``depth`` is larger than the gallery.
    """
    queries = Queries.of(benchmark)
    if not len(queries):
        raise DataError(f"dataset '{benchmark.name}' has no pairs to evaluate")
    if controls.captions_again:
        queries = queries.with_captions_again(controls.captions_again, controls.seed)
    targets = np.array([benchmark.position[image_id] for image_id in queries.image_id], np.int64)
    sees_captions = Traits.of(embedder.encoder).sees == "captions"
    own: OwnPictures | None = None
    if sees_captions:
        texts, gallery, own = _caption_gallery(benchmark, embedder, queries, targets)
    else:
        texts = embedder.texts(queries.text)
        gallery = embedder.images(benchmark.image_ids, store)
    again = [row for row, role in enumerate(queries.role) if role == "caption again"]
    if again:
        embed = controls.embed_again or (lambda asked: embedder.texts_again(asked, controls.seed))
        texts[again] = embed([queries.text[row] for row in again])
    index = GalleryIndex(gallery)
    top, scores = index.search(texts, depth, own=(own.positions, own.vectors) if own else None)
    return Rankings(
        query_id=queries.query_id, role=queries.role, caption_id=queries.caption_id, image_id=queries.image_id,
        kind=queries.kind, query_sha256=hash_queries(queries.text), top=top, scores=scores,
        target_rank=_target_ranks(index, texts, targets, top, own),
        gallery=tuple(benchmark.image_ids),
        caption_rank={} if sees_captions else _caption_ranks(queries, texts, gallery, benchmark),
        source=queries.source,
        words=np.array([len(words_of(text)) for text in queries.caption_text], np.int32),
        distance=np.array([lexical_distance(a, b) for a, b in zip(queries.text, queries.caption_text, strict=True)]),
        labels={
            image_id: tuple(labels)
            for image_id, labels in zip(benchmark.image_ids, benchmark.gallery["labels"].to_pylist(), strict=True) if labels
        },
        smaller=_other_sizes(queries, controls, gallery, texts, targets, own, (top, scores)),
        duplicates=_duplicates(benchmark, embedder, store),
    )  # fmt: skip


def _duplicates(benchmark: Benchmark, embedder: Embedder, store: ImageStore | None) -> tuple[tuple[str, ...], ...]:
    """Groups of pictures that look the same, among those that were opened now or in an earlier run."""
    if store is None or not embedder.picture_hashes:
        return ()
    contents = {image_id: store.sha256(image_id) for image_id in benchmark.image_ids}
    known = embedder.picture_hashes
    return duplicate_groups({image_id: known[content] for image_id, content in contents.items() if content in known})


def _other_sizes(
    queries: Queries, controls: Controls, gallery: FloatMatrix, texts: FloatMatrix, targets: NDArray[np.int64],
    own: OwnPictures | None, found: tuple[NDArray[np.int32], NDArray[np.float32]],
) -> dict[int, NDArray[np.int32]]:  # fmt: skip
    """The tops of sampled captions and their paraphrases in other sizes of the gallery; −1 for the other rows."""
    if not controls.sizes:
        return {}
    captions = [caption_id for caption_id, role in zip(queries.caption_id, queries.role, strict=True) if role == "caption"]
    if len(captions) > controls.size_captions:
        kept = np.random.default_rng([controls.seed, 5]).choice(len(captions), controls.size_captions, replace=False)
        captions = [captions[row] for row in kept.tolist()]
    sampled = set(captions)
    rows = np.array(
        [row for row, role in enumerate(queries.role) if role in ("caption", "paraphrase") and queries.caption_id[row] in sampled]
    )
    k, n, asked = controls.size_depth, len(gallery), texts[rows]
    below = tuple(size for size in controls.sizes if k <= size < n)
    above = tuple(size for size in controls.sizes if size > n)
    tops = smaller_tops(gallery, asked, targets[rows], own.vectors[rows] if own else None, below, k, controls.seed)
    if controls.distractors is not None and above:
        k = min(k, found[0].shape[1])
        tops |= larger_tops(found[0][rows, :k], found[1][rows, :k], asked, n, controls.distractors, above)
    spread = {}
    for size, top in tops.items():
        spread[size] = np.full((len(queries), top.shape[1]), -1, np.int32)
        spread[size][rows] = top
    return spread


def _target_ranks(
    index: GalleryIndex, texts: FloatMatrix, targets: NDArray[np.int64], top: NDArray[np.int32], own: OwnPictures | None
) -> NDArray[np.int64]:
    """Ranks of the right pictures: read off the rankings, and searched in full only where they lie deeper."""
    found = top == targets[:, None]
    ranks: NDArray[np.int64] = found.argmax(axis=1).astype(np.int64) + 1
    deeper = np.flatnonzero(~found.any(axis=1))
    if len(deeper):
        vectors = own.vectors[deeper] if own else None
        searched = index.ranks(texts[deeper], targets[deeper], own_vectors=vectors)
        ranks[deeper] = np.maximum(searched, top.shape[1] + 1)
    return ranks


def _caption_ranks(queries: Queries, texts: FloatMatrix, gallery: FloatMatrix, benchmark: Benchmark) -> dict[str, int]:
    """Image → text: the rank of the best of each picture's own captions among all captions asked."""
    rows = [row for row, role in enumerate(queries.role) if role == "caption"]
    index = GalleryIndex(texts[rows])
    owners = np.array([benchmark.position[queries.image_id[row]] for row in rows], np.int64)
    images = gallery[owners]
    ranks = index.ranks(images, np.arange(len(rows)))
    best: dict[str, int] = {}
    for row, caption_rank in zip(rows, ranks.tolist(), strict=True):
        image_id = queries.image_id[row]
        best[image_id] = min(best.get(image_id, caption_rank), caption_rank)
    return best


def _caption_gallery(
    benchmark: Benchmark, embedder: Embedder, queries: Queries, targets: NDArray[np.int64]
) -> tuple[FloatMatrix, FloatMatrix, OwnPictures]:
    """Embed queries and captions together; a picture is the mean of its captions' unit vectors.

    For a query, its own picture is the mean of its *other* captions: without the query itself where it is
    one of them, else without the caption that it rewrites.
    """
    captions: list[list[str]] = [list(dict.fromkeys(c or ())) for c in benchmark.gallery["captions"].to_pylist()]
    empty = [image_id for image_id, own in zip(benchmark.image_ids, captions, strict=True) if not own]
    if empty:
        raise DataError(
            f"{embedder.encoder.spec} reads captions instead of pictures, and {len(empty)} of "
            f"{len(captions)} pictures have none (first: '{empty[0]}')",
            "give --gallery a file with a 'captions' column, or choose an encoder with an image tower",
        )
    flat = [caption for own in captions for caption in own]
    vectors = embedder.texts([*queries.text, *flat])
    texts, caption_vectors = vectors[: len(queries)], vectors[len(queries) :]
    starts = np.concatenate([[0], np.cumsum([len(own) for own in captions])]).astype(np.int64)
    sums = np.add.reduceat(caption_vectors.astype(np.float64), starts[:-1], axis=0)
    left_out = _left_out(queries, captions, targets)
    own_sums = sums[targets]
    leaving = np.flatnonzero(left_out >= 0)
    own_sums[leaving] -= caption_vectors[starts[targets[leaving]] + left_out[leaving]]
    alone = [row for row in leaving.tolist() if len(captions[targets[row]]) == 1]
    if alone:
        raise DataError(
            f"{embedder.encoder.spec} needs another caption of each picture than the query's own, and image "
            f"'{queries.image_id[alone[0]]}' has only that one ({len(alone)} queries)",
            "give --gallery a file whose 'captions' column holds several captions a picture",
        )
    return texts, unit(sums.astype(np.float32)), OwnPictures(targets, unit(own_sums.astype(np.float32)))


def _left_out(queries: Queries, captions: Sequence[Sequence[str]], targets: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each query, which caption of its own picture is left out; -1 for none."""
    caption_text = {
        caption_id: text
        for caption_id, role, text in zip(queries.caption_id, queries.role, queries.text, strict=True)
        if role == "caption"
    }
    left_out = np.full(len(queries), -1, np.int64)
    for row, (text, caption_id) in enumerate(zip(queries.text, queries.caption_id, strict=True)):
        own = captions[targets[row]]
        for candidate in (text, caption_text[caption_id]):
            if candidate in own:
                left_out[row] = own.index(candidate)
                break
    return left_out


def encoder_reads_captions(encoder: Encoder) -> bool:
    """Whether the encoder has no image tower and searches captions instead."""
    return Traits.of(encoder).sees == "captions"
