"""The list of commands, each imported when it is called: ``--help`` stays instant."""

from __future__ import annotations

import importlib

import click

from parabench.errors import UsageError, did_you_mean
from parabench.version import __version__

COMMANDS = {
    "demo": ("parabench.cli.demo", "Compare six encoders on the built-in set, offline, in under a minute."),
    "evaluate": ("parabench.cli.evaluate", "Evaluate encoders: same pictures for other words?"),
    "compare": ("parabench.cli.compare", "Compare finished runs pair by pair: differences, intervals, p-values."),
    "train": ("parabench.cli.train", "Train a dual encoder from a recipe: frozen language model, alignment layers, …"),
    "report": ("parabench.cli.report", "Write the HTML page of one or more finished runs."),
    "build-dataset": ("parabench.cli.build_dataset", "Build a paraphrase benchmark from captions: by LLM, people, rules, or import."),
    "review": ("parabench.cli.review", "Let people judge the sentences of a build: page, export, import."),
    "publish": ("parabench.cli.publish", "Put a finished dataset or model on the Hugging Face Hub or in a folder."),
    "submit": ("parabench.cli.submit", "Make and check the leaderboard submission of a finished run."),
    "leaderboard": ("parabench.cli.leaderboard", "Validate submissions; build and serve the leaderboard's site."),
    "models": ("parabench.cli.models", "List the kinds of encoders and how to name them."),
    "datasets": ("parabench.cli.datasets", "List the built-in benchmarks."),
    "doctor": ("parabench.cli.doctor", "Say what is installed, what is missing and how to get it."),
}
"""Command name → (module, one-line help)."""


class LazyGroup(click.Group):
    """A group whose commands live in modules that are imported on use."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Commands in the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Import and return one command."""
        if name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[name][0]).command
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Name the nearest command when one is mistyped."""
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            raise UsageError(f"unknown command '{args[0]}'", did_you_mean(args[0], COMMANDS))
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="parabench")
def cli() -> None:
    """Say the same thing in other words: do you get the same pictures?

    Start with `parabench demo` (offline, under a minute), then
    `parabench evaluate --model openclip:ViT-B-32 --dataset coco-paraphrase --images val2017/`.
    """
