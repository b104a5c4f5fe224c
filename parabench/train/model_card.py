"""The model card: everything that is known of how a model came about, written by the run itself."""

from __future__ import annotations

from typing import Any

import yaml

from parabench.towers.record import ModelRecord


def model_card(record: ModelRecord, *, open_clip: bool) -> str:
    """README.md of a model folder, with the Hub's front matter."""
    training, model = record.training, record.model
    recipe, data = training["recipe"], training["data"]
    scores: dict[str, float] = training["scores"]
    head: dict[str, Any] = {"library_name": "parabench", "pipeline_tag": "zero-shot-image-classification",
                            "tags": ["parabench", "text-to-image-retrieval", "paraphrase-robustness", recipe["strategy"]["name"]]}  # fmt: skip
    if model.text.kind == "lm" and "/" in model.text.name and not model.text.name.startswith(("/", ".", "~")):
        head["base_model"] = [model.text.name]
    lines = ["---", yaml.safe_dump(head, sort_keys=False).strip(), "---", "", f"# {recipe['name']}", "",
             "A dual encoder for text-to-image search, trained with [parabench](https://arxiv.org/abs/2405.03190).", "",
             "```bash", f"parabench evaluate --model parabench:DIR --dataset {recipe['evaluation']['dataset'] or 'scenes'}", "```", ""]  # fmt: skip
    if open_clip:
        lines += ["open_clip loads the same weights: `open_clip.create_model_and_transforms(\"local-dir:DIR\")`.", ""]
    lines += ["## How it was made", "", "| | |", "|---|---|"]
    parameters, step = training["parameters"], recipe["optimiser"]
    rows = {
        "data": _data(data),
        "image tower": _tower(model.image.model_dump(), ("kind", "name", "weights", "locked", "projection")),
        "text tower": _tower(model.text.model_dump(), ("kind", "name", "revision", "layers", "pooling", "alignment_layers", "adapter")),
        "strategy": _options(recipe["strategy"]),
        "loss": _options(recipe["loss"]),
        "parameters": f"{parameters['trained']:,} trained of {parameters['total']:,}",
        "steps": f"{step['steps']:,} of {step['batch'] * step['accumulate']:,} pictures, AdamW, peak rate {step['lr']:g}, {step['precision']}",
        "ranks": f"{training['ranks']} on {training['device']}",
        "versions": ", ".join(f"{name} {version}" for name, version in training["versions"].items()),
        "recipe": f"recipe.yaml (SHA-256 {training['recipe_sha256'][:16]}…)",
        "weights": f"model.safetensors (SHA-256 {record.weights_sha256[:16]}…)",
    }
    lines += [f"| {name} | {str(value).replace('|', chr(92) + '|')} |" for name, value in rows.items()]
    if record.references:
        lines += ["", "Frozen parts are not in this folder; they are fetched by name and must have the recorded hash: "
                  + ", ".join(f"{tower} tower" for tower in record.references) + "."]  # fmt: skip
    lines += ["", "## Scores", ""]
    if scores:
        lines += [f"On {recipe['evaluation']['dataset']}"
                  + (f", split {recipe['evaluation']['split']}" if recipe["evaluation"]["split"] else "")
                  + ", measured by parabench at the end of training:", "", "| metric | value |", "|---|---|",
                  *(f"| {name} | {value:.4f} |" for name, value in scores.items())]  # fmt: skip
    else:
        lines += ["None were measured in training: run the command above."]
    return "\n".join(lines) + "\n"


def _data(data: dict[str, Any]) -> str:
    if data["kind"] == "webdataset":
        return f"webdataset shards `{data['shards']}`"
    return f"{data['name']}: {data['pictures']:,} pictures, {data['captions']:,} captions (SHA-256 {data['sha256'][:16]}…)"


def _tower(values: dict[str, Any], names: tuple[str, ...]) -> str:
    return ", ".join(f"{name} {values[name]}" for name in names if values[name] not in (None, "", False, 0))


def _options(values: dict[str, Any]) -> str:
    return str(values["name"]) + "".join(f", {key} {value}" for key, value in values.items() if key != "name" and value is not None)
