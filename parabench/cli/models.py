"""``parabench models``."""

from __future__ import annotations

import json

import click


@click.command("models")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    """List the backends, how a model is named in each, and whether it can run here."""
    from parabench.encoders import backends

    rows = backends()
    if as_json:
        click.echo(json.dumps([{"backend": r.name, "example": r.example, "about": r.about, "ready": r.ready, "install": r.install} for r in rows]))
        return
    from rich.console import Console
    from rich.table import Column, Table

    table = Table("backend", Column("example", overflow="fold"), "what it is", "here", box=None)
    for row in rows:
        table.add_row(row.name, row.example, row.about, "ready" if row.ready else row.install)
    Console(markup=False, emoji=False).print(table)
    click.echo("\nA model spec is backend:name[/tag][@revision][?key=value]. Own code: python:package.module:factory")
