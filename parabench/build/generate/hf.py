"""``hf``: a local sequence-to-sequence or causal model through transformers, asked through the ledger like any other."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from parabench.build.generate.chat import ChatGenerator
from parabench.build.generate.protocol import Options
from parabench.build.requests import Outcome, Request, RequestTable
from parabench.engine import Engine
from parabench.errors import MissingDependencyError, ModelError, UsageError
from parabench.progress import bar, note
from parabench.storage import sha256_file

DEFAULTS = {"max_new_tokens": 80, "do_sample": False}
_CLAIMED = 8  # batches
_WAIT_FOR_OTHERS = 0.5  # seconds


def hf_generator(options: Options) -> ChatGenerator:
    """The backend: ``--model ID@REVISION`` or a folder.

    The payload names the exact weights (a commit of the hub, or the hash of a folder's weight files), so that another
    revision is asked anew.

    Raises:
        UsageError: no model is named.
        ModelError: it can't be loaded.
        MissingDependencyError: torch or transformers is not installed.
    """
    if not options.model:
        raise UsageError("the generator 'hf' needs a model", "name it with --model ID@REVISION, or a folder")
    try:
        import torch
        import transformers
    except ImportError as error:
        raise MissingDependencyError(error.name or "transformers", "hf", "the generator 'hf'") from None
    name, _, revision = options.model.partition("@")
    try:
        config = transformers.AutoConfig.from_pretrained(name, revision=revision or None)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"the model '{options.model}' can't be loaded: {str(error).splitlines()[0]}",
            "check the id, or download it first",
        ) from None
    exact = _exact(name, config)
    if not revision and not Path(name).is_dir():
        note(f"model: {exact}")
    pinned = exact.rpartition("@")[2] if not Path(name).is_dir() else None
    model = LocalModel(name, pinned, not config.is_encoder_decoder, options.device)
    asker = LocalAsker(model, options.engine, options.batch_size)
    # sampling is seeded by a request's own key, and sums in reduced precision or on another device may differ
    parameters = {**DEFAULTS, "seed": options.seed, **options.parameters}
    about = f"Written by a local model through transformers {transformers.__version__} and torch {torch.__version__}."
    return ChatGenerator("hf", exact, about, asker, options, parameters, plain=not model.is_causal, structured=False)


@dataclass(frozen=True)
class LocalModel:
    """A model, named exactly enough for any process to load it.

    Attributes:
        name: a folder or a hub id.
        revision: the commit of a hub id.
        is_causal: whether it continues a conversation; else it is given the caption and answers with a sentence.
        device: as the user names it.
    """

    name: str
    revision: str | None
    is_causal: bool
    device: str

    def __call__(self) -> Callable[[list[Request]], list[Outcome]]:
        """Load it; returns what answers a batch of requests."""
        import transformers

        from parabench.encoders.torch_runtime import resolve_device

        device = resolve_device(self.device)
        note(f"device: {device}")
        loader = transformers.AutoModelForCausalLM if self.is_causal else transformers.AutoModelForSeq2SeqLM
        try:
            model = loader.from_pretrained(self.name, revision=self.revision).eval().to(device)
            tokenizer = transformers.AutoTokenizer.from_pretrained(self.name, revision=self.revision)
        except (OSError, ValueError) as error:
            raise ModelError(f"the model '{self.name}' can't be loaded: {str(error).splitlines()[0]}", "check it") from None
        if tokenizer.pad_token_id is None:
            tokenizer.pad_token = tokenizer.eos_token
        tokenizer.padding_side = "left" if self.is_causal else "right"
        return lambda batch: self._answers(batch, model, tokenizer, device)

    def _answers(self, batch: list[Request], model: Any, tokenizer: Any, device: str) -> list[Outcome]:
        import torch

        settings = {k: v for k, v in batch[0].payload.items() if k not in ("model", "messages", "seed")}
        sampled = bool(settings.get("do_sample"))
        groups = [[request] for request in batch] if sampled else [batch]  # a draw belongs to its own request
        outcomes: list[Outcome] = []
        for group in groups:
            texts = [self._prompt(tokenizer, request) for request in group]
            inputs = tokenizer(texts, return_tensors="pt", padding=True, truncation=True).to(device)
            torch.manual_seed(int(group[0].key[:8], 16) ^ int(group[0].payload.get("seed", 0)))
            try:
                with torch.inference_mode():
                    produced = model.generate(**inputs, **settings, pad_token_id=tokenizer.pad_token_id)
            except (TypeError, ValueError) as error:
                raise ModelError(f"the model does not take these parameters: {error}", "check --parameter") from None
            if self.is_causal:
                produced = produced[:, inputs["input_ids"].shape[1] :]
            said = tokenizer.batch_decode(produced, skip_special_tokens=True)
            for request, text, row, mask in zip(group, said, produced, inputs["attention_mask"], strict=True):
                n_out = int((row != tokenizer.pad_token_id).sum())
                outcomes.append(
                    Outcome(request.key, "answered", text, tokens_in=int(mask.sum()), tokens_out=n_out, server="local")
                )
        return outcomes

    def _prompt(self, tokenizer: Any, request: Request) -> str:
        messages = request.payload["messages"]
        if not self.is_causal:
            data = json.loads(messages[1]["content"])
            return f"paraphrase: {data.get('sentence') or data['caption']}"
        if tokenizer.chat_template:
            return str(tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True))
        return "\n\n".join(message["content"] for message in messages) + "\n\n"


@dataclass(frozen=True)
class LocalAsker:
    """Has requests answered by a local model, in batches of ``batch_size``, where ``engine`` says."""

    model: LocalModel
    engine: Engine
    batch_size: int

    def ask(self, requests: RequestTable) -> None:
        """Bring every pending request of the plan to an end."""
        tally = requests.tally()
        if not tally["pending"]:
            return
        with self.engine.open(self.model) as workers, bar("requests", tally.total, "request", initial=tally.total - tally["pending"]) as progress:
            while True:
                claimed = requests.claim(self.batch_size * _CLAIMED * workers.count)
                if not claimed and requests.held_by_others():  # another process runs the rest, or dies trying
                    time.sleep(_WAIT_FOR_OTHERS)
                    continue
                if not claimed:
                    break
                # batches of like lengths; greedy decoding does not depend on its neighbours, sampling is seeded a request
                batches = [claimed[start : start + self.batch_size] for start in range(0, len(claimed), self.batch_size)]
                for number, outcomes in workers.map(batches):
                    requests.store(outcomes)
                    progress.update(len(batches[number]))


def _exact(name: str, config: Any) -> str:
    """The model's name with what pins its weights."""
    folder = Path(name)
    if not folder.is_dir():
        commit = getattr(config, "_commit_hash", None)
        return f"{name}@{commit}" if commit else name
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.suffix in (".safetensors", ".bin", ".json", ".txt", ".model")):
        digest.update(f"{path.name} {sha256_file(path)}\n".encode())
    return f"{folder.resolve().name}@{digest.hexdigest()[:16]}"
