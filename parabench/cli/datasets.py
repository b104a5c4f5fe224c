"""``parabench datasets``."""

from __future__ import annotations

import json
from dataclasses import asdict

import click


@click.command("datasets")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    """List the built-in benchmarks, what they hold and what they need."""
    from parabench.data.catalog import CATALOG

    if as_json:
        click.echo(json.dumps([asdict(entry) for entry in CATALOG]))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("name", "what it is", Column("needs", overflow="fold"), "licence", box=None)
    for entry in CATALOG:
        table.add_row(entry.name, entry.about, entry.needs, entry.license)
    Console(markup=False, emoji=False).print(table)
    click.echo("\nYour own: --dataset pairs.csv with the columns image_id, caption, paraphrase (JSONL and parquet too).")
