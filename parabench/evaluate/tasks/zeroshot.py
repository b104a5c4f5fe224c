"""Zero-shot classification, and whether the answer depends on how the question is worded."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from parabench.data.sources.classified import ClassifiedPictures, read_classified
from parabench.encoders.protocol import FloatMatrix
from parabench.errors import UsageError
from parabench.evaluate.resampling import Resampling, measure
from parabench.evaluate.result import TaskResult
from parabench.evaluate.tasks.task import TaskModel, TaskSource, details_of, no_image_tower, with_details
from parabench.metrics import hits
from parabench.metrics.bootstrap import draws
from parabench.metrics.correlation import percentile_estimate
from parabench.metrics.grouped import group_mean_column, pairwise_agreement
from parabench.retrieval.embed import unit
from parabench.storage import sha256_json

_BLOCK = 2048


@dataclass(frozen=True)
class ZeroShotData:
    """Pictures with their classes and prompts."""

    held: ClassifiedPictures

    @property
    def fingerprint(self) -> str:
        """SHA-256 of pictures' ids, labels, class names and templates."""
        held = self.held
        return sha256_json([held.image_ids, held.labels, held.classes, held.templates])

    @property
    def provenance(self) -> str:
        """Pictures, classes, templates and the folder."""
        held = self.held
        return f"{len(held.image_ids):,} pictures of {len(set(held.labels)):,} classes, {len(held.classes):,} class names, {len(held.templates)} templates from {held.folder}"

    def texts(self) -> list[str]:
        """Every distinct prompt."""
        return list(dict.fromkeys(text for own in self.held.prompts() for text in own))


class ZeroShot:
    """Top-1, top-5, mean per-class recall, and agreement across prompt templates."""

    def load(self, source: TaskSource) -> ZeroShotData:
        """The folder of ``--task-data zeroshot=DIR``; see :func:`parabench.data.sources.classified.read_classified`."""
        if source.given is None:
            raise UsageError("the task zeroshot needs a folder of classes or shards", "--task-data zeroshot=DIR")
        return ZeroShotData(read_classified(source.given))

    def rows(self, data: ZeroShotData, model: TaskModel) -> pa.Table:
        """One row a picture: ``image_id, label, rank, predicted`` and ``template_predicted``, one class a template.

        A class is the mean of its prompts' unit vectors, scaled to length 1; ``rank`` is where its score puts
        the right class, ties in the order of the classes.
        """
        held = data.held
        schema = pa.schema(
            [("image_id", pa.string()), ("label", pa.int32()), ("rank", pa.int32()), ("predicted", pa.int32()),
             ("template_predicted", pa.list_(pa.int32()))]
        )  # fmt: skip
        details = {"classes": list(held.classes), "templates": list(held.templates), "skipped": {}}
        if model.sees == "captions":
            return with_details(schema.empty_table(), **{**details, "skipped": {"zeroshot": no_image_tower(model)}})
        prompts = held.prompts()
        flat = model.embedder.texts([text for own in prompts for text in own])
        per_class = flat.reshape(len(held.classes), len(held.templates), -1)
        images = model.embedder.images(held.image_ids, held.pictures)
        means = unit(per_class.astype(np.float64).mean(axis=1).astype(np.float32))
        rank, predicted = _ranked(images, means, np.array(held.labels, np.int64))
        votes = np.column_stack([_predicted(images, per_class[:, at]) for at in range(len(held.templates))])
        table = pa.table(
            {
                "image_id": list(held.image_ids),
                "label": list(held.labels),
                "rank": rank,
                "predicted": predicted,
                "template_predicted": votes.tolist(),
            },
            schema,
        )
        return with_details(table, **details)

    def score(self, rows: pa.Table, resampling: Resampling) -> TaskResult:
        """``top-1``, ``top-5``, ``mean-per-class-recall``; ``template-agreement``, ``template-top-1`` and ``template-spread``.

        Intervals are over pictures.  ``template-spread`` is the best template's accuracy less the worst's.
        """
        task = TaskResult(details=details_of(rows))
        if not rows.num_rows:
            return task
        label, rank = rows["label"].to_numpy().astype(np.int64), rows["rank"].to_numpy().astype(np.int64)
        clusters = np.arange(len(label))
        classes, templates = task.details["classes"], task.details["templates"]
        top1 = hits(rank, 1)
        columns = {"top-1": top1}
        if len(classes) > 5:
            columns["top-5"] = hits(rank, 5)
        columns["mean-per-class-recall"] = group_mean_column(top1, label)
        votes = np.array(rows["template_predicted"].to_pylist(), np.int64)
        right = (votes == label[:, None]).astype(np.float64)
        if len(templates) > 1:
            columns["template-agreement"] = pairwise_agreement(votes)
            columns["template-top-1"] = right.mean(axis=1)
        for name, estimate in zip(columns, resampling.estimate(list(columns.values()), clusters), strict=True):
            task.metrics[name] = measure(estimate)
        if len(templates) > 1:
            accuracy = right.mean(axis=0)
            resampled = _resampled_spread(right, resampling) if len(label) > 1 else None
            spread = percentile_estimate(float(np.ptp(accuracy)), resampled, len(label), len(label), resampling.level)
            task.metrics["template-spread"] = measure(spread)
            each = resampling.estimate(list(right.T), clusters)
            task.details["by_template"] = {text: measure(one).model_dump(exclude_none=True) for text, one in zip(templates, each, strict=True)}
        else:
            task.details["skipped"]["template-agreement"] = "one template has nothing to agree with; write several into templates.txt"
        task.details["chance"] = {"top-1": 1 / len(classes)} | ({"top-5": 5 / len(classes)} if len(classes) > 5 else {})
        return task


def _scores(images: FloatMatrix, classes: FloatMatrix) -> NDArray[np.float32]:
    """Inner products ``(n, c)``, summed in float64 and rounded once, so that blocks change nothing."""
    scores: NDArray[np.float32] = (images.astype(np.float64) @ classes.astype(np.float64).T).astype(np.float32)
    return scores


def _ranked(images: FloatMatrix, classes: FloatMatrix, labels: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ranks, predicted = np.empty(len(images), np.int64), np.empty(len(images), np.int64)
    order = np.arange(len(classes))
    for start in range(0, len(images), _BLOCK):
        block = slice(start, start + _BLOCK)
        scores = _scores(images[block], classes)
        own = labels[block, None]
        mark = np.take_along_axis(scores, own, 1)
        ranks[block] = ((scores > mark) | ((scores == mark) & (order < own))).sum(axis=1) + 1
        predicted[block] = scores.argmax(axis=1)
    return ranks, predicted


def _predicted(images: FloatMatrix, classes: FloatMatrix) -> NDArray[np.int64]:
    blocks = [_scores(images[start : start + _BLOCK], classes).argmax(axis=1) for start in range(0, len(images), _BLOCK)]
    return np.concatenate(blocks)


def _resampled_spread(right: NDArray[np.float64], resampling: Resampling) -> NDArray[np.float64]:
    """Best less worst template accuracy in every resample of the pictures."""
    n = len(right)
    table = right.astype(np.float32)
    resamples = draws(n, resampling.n_resamples, resampling.seed)
    return np.concatenate([np.ptp(weight @ table, axis=1) / n for weight in resamples.weights(width=n)]).astype(np.float64)
