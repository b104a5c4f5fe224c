"""The same weights as open_clip's own folder, where its format can hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from parabench.storage import atomic_path, write_text
from parabench.towers.image_trunk import OpenClipTrunk

CONFIG, WEIGHTS = "open_clip_config.json", "open_clip_model.safetensors"


def write_open_clip(model: Any, folder: Path) -> bool:
    """Write ``open_clip_config.json`` and ``open_clip_model.safetensors`` for ``open_clip.create_model("local-dir:…")``.

    open_clip can hold an image tower of its own with CLIP's text transformer (strategy ``scratch``) without a
    further image head.  Returns whether the model is one; nothing is written otherwise.
    """
    image, text = model.image, model.text
    if not isinstance(image.trunk, OpenClipTrunk) or text.config.kind != "clip" or image.config.projection != "none" or image.config.standardise:
        return False
    import open_clip
    from safetensors.torch import save_file

    vision = image.config.vision or dict(open_clip.get_model_config(image.config.name)["vision_cfg"])
    config = {
        "model_cfg": {
            "embed_dim": model.config.embed_dim, "vision_cfg": vision, "custom_text": True,
            "text_cfg": {
                "context_length": text.config.max_length, "vocab_size": text.tokenizer.vocabulary, "width": text.config.width,
                "heads": text.config.heads, "layers": text.config.layers,
            },
        },
        "preprocess_cfg": {
            "mean": list(image.trunk.mean), "std": list(image.trunk.std), "interpolation": image.trunk.interpolation,
        },
    }  # fmt: skip
    if image.config.vision is None and open_clip.get_model_config(image.config.name).get("quick_gelu"):
        config["model_cfg"]["quick_gelu"] = False  # the text tower was trained with the exact one
    if model.logit_bias is not None:
        config["model_cfg"]["init_logit_bias"] = float(model.config.logit_bias)
    tensors = {"logit_scale": model.logit_scale, "text.text_projection": text.projection.weight.T}
    if model.logit_bias is not None:
        tensors["logit_bias"] = model.logit_bias
    tensors |= {f"visual.{name}": value for name, value in image.trunk.network.state_dict().items()}
    tensors |= {f"text.{name}": value for name, value in text.trunk.network.state_dict().items()}
    with atomic_path(folder / WEIGHTS) as part:
        save_file({name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}, part, {"format": "pt"})
    write_text(folder / CONFIG, json.dumps(config, indent=1) + "\n")
    return True
