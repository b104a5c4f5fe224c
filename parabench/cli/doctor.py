"""``parabench doctor``."""

from __future__ import annotations

import json

import click


@click.command("doctor")
@click.option("--json", "as_json", is_flag=True, help="Print as JSON.")
def command(as_json: bool) -> None:
    """Say what is installed, which device would be used, where the cache is, and what is missing."""
    from parabench.evaluate.doctor import examine

    findings = examine()
    if as_json:
        click.echo(json.dumps([finding.__dict__ for finding in findings]))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table("", "part", "found", "what to do", box=None)
    for finding in findings:
        table.add_row("✓" if finding.ok else "–", finding.part, finding.found, finding.remedy)
    Console(markup=False, emoji=False).print(table)
