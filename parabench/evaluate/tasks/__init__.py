"""Tasks beside paraphrased retrieval, one file each; other packages add theirs by entry point ``parabench.tasks``."""

from __future__ import annotations

from collections.abc import Callable

from parabench.evaluate.tasks.task import Task, TaskModel, TaskSource
from parabench.registry import Registry

TASKS: Registry[Callable[[], Task]] = Registry(
    "task",
    {
        "paraphrase": "parabench.evaluate.paraphrase:paraphrase_task",
        "retrieval": "parabench.evaluate.tasks.retrieval:CaptionRetrieval",
        "sts": "parabench.evaluate.tasks.sts:SentenceSimilarity",
        "zeroshot": "parabench.evaluate.tasks.zeroshot:ZeroShot",
        "compositional": "parabench.evaluate.tasks.compositional:Compositional",
        "human": "parabench.evaluate.tasks.human:HumanAgreement",
    },
    group="parabench.tasks",
)
"""Task name → what runs it."""

__all__ = ["TASKS", "Task", "TaskModel", "TaskSource"]
