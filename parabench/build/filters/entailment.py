"""Entailment: does the caption imply the paraphrase, and the paraphrase the caption? By an NLI cross-encoder."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from parabench.build.candidates import Candidate
from parabench.build.filters.base import PARAPHRASES, Verdict
from parabench.build.filters.config import EntailmentCheck
from parabench.encoders.torch_runtime import inference, resolve_device, to_numpy
from parabench.errors import MissingDependencyError, ModelError, brief
from parabench.libraries import import_torch
from parabench.storage import sha256_file, sha256_json


class Entailment:
    """Drops paraphrases that their caption does not entail (something was added), or that do not entail it (lost).

    Any sequence classifier of transformers with a label called ``entailment`` serves; the label is looked up in
    its configuration, since models order their labels differently.
    """

    name = "entailment"
    roles = PARAPHRASES

    def __init__(self, config: EntailmentCheck) -> None:
        self._config = config

    @property
    def fingerprint(self) -> str:
        """Of the weights: the commit of a hub's model, or the hash of a folder's files."""
        folder = Path(self._config.model).expanduser()
        if folder.is_dir():
            return sha256_json({str(path.relative_to(folder)): sha256_file(path) for path in sorted(folder.rglob("*")) if path.is_file()})
        return sha256_json([self._config.model, getattr(self._network[1].config, "_commit_hash", None)])

    def check(self, candidates: Sequence[Candidate]) -> list[Verdict]:
        """``entailment_forward`` (caption ⇒ paraphrase) and ``entailment_backward``: probabilities in [0, 1]."""
        captions, texts = [c.caption.text for c in candidates], [c.text for c in candidates]
        forward, backward = self._entailed(captions, texts), self._entailed(texts, captions)
        return [self._verdict(float(there), float(back)) for there, back in zip(forward, backward, strict=True)]

    def _verdict(self, forward: float, backward: float) -> Verdict:
        reason = ""
        if forward < self._config.min_forward:
            reason = f"not entailed by the caption: {forward:.2f}"
        elif backward < self._config.min_backward:
            reason = f"does not entail the caption: {backward:.2f}"
        return Verdict(reason, {"entailment_forward": forward, "entailment_backward": backward})

    def _entailed(self, premises: list[str], hypotheses: list[str]) -> npt.NDArray[np.float32]:
        tokenizer, model, label, device = self._network
        order = sorted(range(len(premises)), key=lambda i: len(premises[i]) + len(hypotheses[i]))
        probabilities = np.zeros(len(premises), np.float32)
        for start in range(0, len(order), self._config.batch_size):
            part = order[start : start + self._config.batch_size]
            inputs = tokenizer(
                [premises[i] for i in part], [hypotheses[i] for i in part], padding=True, truncation=True,
                return_tensors="pt", max_length=min(512, tokenizer.model_max_length),
            ).to(device)  # fmt: skip
            with inference(device, "fp32"):
                probabilities[part] = to_numpy(model(**inputs).logits.softmax(-1)[:, label])
        return probabilities

    @cached_property
    def _network(self) -> tuple[Any, Any, int, str]:
        import_torch("hf", "the check 'entailment'")
        try:
            from transformers import AutoModelForSequenceClassification, AutoTokenizer
        except ImportError:
            raise MissingDependencyError("transformers", "hf", "the check 'entailment'") from None
        name, revision, device = self._config.model, self._config.revision, resolve_device(self._config.device)
        try:
            tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
            model = AutoModelForSequenceClassification.from_pretrained(name, revision=revision, use_safetensors=True)
        except Exception as error:  # hub, file and configuration errors come in many classes
            raise ModelError(
                f"the entailment model {name} could not be loaded: {brief(error)}",
                "check the name and the network, or give a local folder",
            ) from error
        return tokenizer, model.to(device).eval(), entailment_label(model.config.id2label, name), device


def entailment_label(labels: dict[int, str], model: str) -> int:
    """The number of the label ``entailment`` among ``{0: "contradiction", …}``.

    Raises:
        ModelError: no label, or more than one, is called so.
    """
    found = [int(number) for number, name in labels.items() if str(name).strip().lower() in ("entailment", "entail", "entails", "e")]
    if len(found) != 1:
        raise ModelError(
            f"the entailment model {model} has the labels {', '.join(map(str, labels.values()))}, none of them 'entailment'",
            "use a model trained on natural language inference, e.g. cross-encoder/nli-deberta-v3-base",
        )
    return found[0]
