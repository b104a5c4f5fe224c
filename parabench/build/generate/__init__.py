"""Generators: ways to get paraphrases and foils of captions, one file a backend."""

from __future__ import annotations

from parabench.build.generate.protocol import Factory, Generator, Options, Plan
from parabench.registry import Registry

GENERATORS: Registry[Factory] = Registry(
    "generator",
    {
        "openai": "parabench.build.generate.openai:openai_generator",
        "human": "parabench.build.generate.human:HumanGenerator",
        "hf": "parabench.build.generate.hf:hf_generator",
        "rules": "parabench.build.generate.rules:RulesGenerator",
        "import": "parabench.build.generate.imported:ImportGenerator",
    },
    group="parabench.generators",
)
"""Name → a factory that takes :class:`Options`."""

__all__ = ["GENERATORS", "Factory", "Generator", "Options", "Plan"]
