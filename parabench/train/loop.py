"""The training loop: a recipe and a folder in, a model folder out; the same command goes on where it was."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from parabench.encoders.resolution import versions
from parabench.encoders.trained import TrainedEncoder
from parabench.errors import ModelError, ParabenchError
from parabench.progress import bar, note
from parabench.storage import write_text
from parabench.towers.folder import save_model
from parabench.towers.record import SETTINGS, read_record
from parabench.train.checkpoint import Checkpoints, Position
from parabench.train.distributed import Ranks, ranks
from parabench.train.log import Log, Meter, memory_mb
from parabench.train.model_card import model_card
from parabench.train.optimiser import MovingAverage, adamw, set_lr
from parabench.train.recipe import Recipe
from parabench.train.setup import Setup, prepare
from parabench.train.step import Step
from parabench.version import __version__

Evaluate = Callable[[Any], dict[str, float]]
"""An encoder → scores by name.  Training knows no evaluation; its caller passes one."""

_PACKAGES = ("torch", "open_clip_torch", "transformers", "timm", "peft", "webdataset", "safetensors", "numpy")


def train(
    recipe: Recipe, out: str | Path, *, evaluate: Evaluate | None = None, device: str = "auto", overwrite: bool = False,
    trust_remote_code: bool = False,
) -> Path:  # fmt: skip
    """Train and write a model folder.

    An interrupted run goes on from its last whole checkpoint when the same recipe is trained into the same
    folder: weights, optimiser, averages, random states and the data's position are restored, and the rest of the
    run is the same bit for bit on one machine.

    Args:
        recipe: what to train.
        out: the model folder; ``out/training`` holds checkpoints and the log.
        evaluate: called with an encoder every ``evaluation.every`` steps and at the end.
        device: ``auto``, ``cpu``, ``cuda``, ``mps``; under torchrun each process takes its own.
        overwrite: forget an earlier run of another recipe in ``out``.
        trust_remote_code: allow code that a language model brings along.

    Returns:
        The folder, good for ``parabench:OUT``.

    Raises:
        ParabenchError: anything a user can fix; a loss that is not finite stops the run with its step and the
            last good checkpoint.
    """
    folder = Path(out)
    with ranks(device) as place:
        if _finished(folder, recipe, place, overwrite=overwrite):
            return folder
        if recipe.optimiser.batch % place.size:
            raise ParabenchError(f"optimiser.batch={recipe.optimiser.batch} does not split over {place.size} ranks")
        run = _Run(recipe, folder, place, evaluate, trust_remote_code)
        try:
            run.go()
        except (torch.OutOfMemoryError, MemoryError) as error:
            raise _out_of_memory(recipe, place) from error
        except RuntimeError as error:
            if "memory" in str(error) and ("allocate" in str(error) or "out of" in str(error)):
                raise _out_of_memory(recipe, place) from error
            raise
        place.wait()
    return folder


class _Run:
    """One run of the loop."""

    def __init__(self, recipe: Recipe, folder: Path, place: Ranks, evaluate: Evaluate | None, remote: bool) -> None:
        self._recipe, self._folder, self._place, self._evaluate = recipe, folder, place, evaluate
        if recipe.run.threads is not None:
            torch.set_num_threads(recipe.run.threads)
        self._setup: Setup = prepare(recipe, place, trust_remote_code=remote)
        self._checkpoints = Checkpoints(folder / "training" / "checkpoints", recipe.digest, recipe.run.keep)
        self._scores: dict[str, float] = {}
        self._seconds = 0.0

    def go(self) -> None:
        """Train to the end and write the model."""
        recipe, setup, place = self._recipe, self._setup, self._place
        model = setup.model
        wrapped = place.wrap(model, recipe.run.parallel)
        called = torch.compile(wrapped) if recipe.run.compile else wrapped
        optimiser = adamw(model, recipe.optimiser)
        average = None if recipe.optimiser.ema is None else MovingAverage(model, recipe.optimiser.ema)
        position = self._checkpoints.latest() or Position(0, [])
        torch.manual_seed(recipe.run.seed + 1_000_003 * place.rank)  # dropout differs between ranks
        if position.path is not None:
            self._checkpoints.load(position, model, optimiser, average, place)
            self._say(f"going on from step {position.step} ({position.path.name})")
        log = Log(self._folder / "training", position.step, tensorboard=recipe.run.tensorboard) if place.is_first else None
        step = Step(called, recipe.loss, place, chunk=recipe.optimiser.chunk, autocast=recipe.optimiser.precision == "bf16")
        start = position.data[place.rank] if len(position.data) == place.size else None
        try:
            self._loop(step, model, wrapped, optimiser, average, position, start, log)
            self._finish(model, average)
        finally:
            if log is not None:
                log.close()

    def _loop(
        self, step: Step, model: Any, wrapped: Any, optimiser: Any, average: MovingAverage | None, position: Position,
        start: dict[str, Any] | None, log: Log | None,
    ) -> None:  # fmt: skip
        recipe, place = self._recipe, self._place
        settings, source = recipe.optimiser, self._setup.batches
        after = source.start() if start is None else start
        batches = source.batches(after)
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        ceiling, meter, started = math.log(settings.max_scale), Meter(), time.perf_counter()
        unsynchronised = [] if recipe.run.parallel == "ddp" else [p for p in (model.logit_scale, model.logit_bias) if p is not None]
        model.train()
        with bar("training", settings.steps if place.is_first else None, "step", initial=position.step) as progress:
            for number in range(position.step, settings.steps):
                lr = set_lr(optimiser, number, settings)
                total = 0.0
                for part in range(settings.accumulate):
                    batch = next(batches).to(place.device)
                    value = step(batch, 1 / settings.accumulate, synchronise=part == settings.accumulate - 1)
                    total += float(value) / settings.accumulate
                    after = batch.after
                place.average(unsynchronised)
                norm = torch.nn.utils.clip_grad_norm_(learning, settings.clip or math.inf)
                norm = float(norm.full_tensor() if hasattr(norm, "full_tensor") else norm)
                if not math.isfinite(total) or not math.isfinite(norm):
                    raise self._not_finite(number + 1, total, lr)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                with torch.no_grad():
                    model.logit_scale.clamp_(0, ceiling)
                if average is not None:
                    average.update(model)
                done = number + 1
                meter.add(settings.batch * settings.accumulate)
                if log is not None and (done % recipe.run.log_every == 0 or done == settings.steps):
                    log.write(done, {
                        "loss": total, "lr": lr, "scale": float(model.logit_scale.detach().exp()), "gradient_norm": norm,
                        "samples_per_second": round(meter.read(), 2), "memory_mb": round(memory_mb(place.device), 1),
                        **self._setup.counts(),
                    })  # fmt: skip
                every = recipe.evaluation.every
                if every is not None and done % every == 0 and done < settings.steps:
                    with meter.pause():
                        scores = self._score(model, average, f"step-{done}")
                    if log is not None and scores:
                        log.write(done, scores)
                        note(f"step {done}: loss {total:.4f}, " + ", ".join(f"{k} {v:.3f}" for k, v in scores.items()))
                if done % recipe.run.checkpoint_every == 0 or done == settings.steps:
                    with meter.pause():
                        self._checkpoints.save(done, after, model, optimiser, average, place)
                progress.set_postfix_str(f"loss {total:.4f}")
                progress.update()
        self._seconds = time.perf_counter() - started

    def _finish(self, model: Any, average: MovingAverage | None) -> None:
        """Score the model and write its folder."""
        recipe, place = self._recipe, self._place
        self._scores = self._score(model, average, "final")
        if average is not None:
            average.swap(model)
        tensors = {name: value.full_tensor() for name, value in model.state_dict().items() if hasattr(value, "full_tensor")}
        if not place.is_first:
            return
        learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        held = sum(parameter.numel() for parameter in model.parameters())
        training = {
            "recipe": recipe.model_dump(), "recipe_sha256": recipe.digest, "data": self._setup.data_record,
            "parameters": {"total": held, "trained": learned},
            "ranks": place.size, "device": place.device, "precision": recipe.optimiser.precision,
            "versions": {"parabench": __version__, **versions(_PACKAGES)}, "scores": self._scores,
        }  # fmt: skip
        record = save_model(model, self._folder, training, tensors=tensors, refer=recipe.run.refer)
        from parabench.towers.open_clip_folder import write_open_clip

        loadable = write_open_clip(model, self._folder)
        write_text(self._folder / "recipe.yaml", recipe.to_yaml())
        write_text(self._folder / "README.md", model_card(record, open_clip=loadable))
        note(
            f"model: {self._folder} ({learned:,} of {held:,} parameters trained"
            + (f" in {self._seconds:.0f} s, {memory_mb(place.device):.0f} MB" if self._seconds else "") + ")"
        )

    def _score(self, model: Any, average: MovingAverage | None, name: str) -> dict[str, float]:
        """Scores of the model (of its averages, where there are some); random states and modes stay as they are."""
        if self._evaluate is None:
            return {}
        if average is not None:
            average.swap(model)
        model.eval()
        scores: dict[str, float] = {}
        with torch.random.fork_rng(devices=[self._place.device] if self._place.device.startswith("cuda") else []):
            # split parameters need every rank in a forward pass
            if self._place.is_first or self._recipe.run.parallel == "fsdp":
                encoder = TrainedEncoder.of(model, f"{self._recipe.name}@{name}", self._place.device)
                scores = self._evaluate(encoder)
        self._place.wait()
        model.train()
        if average is not None:
            average.swap(model)
        return scores

    def _not_finite(self, step: int, loss: float, lr: float) -> ParabenchError:
        last = self._checkpoints.latest()
        good = f"the last good checkpoint is step {last.step} ({last.path})" if last else "there is no checkpoint yet"
        what = f"the loss is {loss}" if not math.isfinite(loss) else "the gradient is not finite"
        return ParabenchError(
            f"{what} at step {step} (lr {lr:.2g}); {good}",
            "lower optimiser.lr, lengthen optimiser.warmup, set optimiser.clip, or use precision fp32",
        )

    def _say(self, text: str) -> None:
        if self._place.is_first:
            note(text)


def _finished(folder: Path, recipe: Recipe, place: Ranks, *, overwrite: bool) -> bool:
    """Whether the folder holds this recipe's finished model; makes sure that nobody else's is destroyed."""
    if place.collect((folder / SETTINGS).exists() and not overwrite)[0]:  # all ranks follow what the first one saw
        held = read_record(folder).training
        if held.get("recipe_sha256") != recipe.digest:
            raise ModelError(
                f"{folder} already holds the model of another recipe ({held.get('recipe', {}).get('name', 'unknown')})",
                "choose another --out, or pass --overwrite to replace it",
            )
        if place.is_first:
            note(f"{folder} is trained already")
        return True
    if overwrite and place.is_first:
        shutil.rmtree(folder / "training", ignore_errors=True)
        (folder / SETTINGS).unlink(missing_ok=True)
    place.wait()
    return False


def _out_of_memory(recipe: Recipe, place: Ranks) -> ParabenchError:
    share = recipe.optimiser.batch // place.size
    chunk = max(1, (recipe.optimiser.chunk or share) // 2)
    return ParabenchError(
        f"out of memory on {place.device} with {share} pictures a rank",
        f"set optimiser.chunk={chunk} (same gradients, less memory), optimiser.precision=bf16, or a smaller optimiser.batch",
    )
