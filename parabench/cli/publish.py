"""``parabench publish``."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command("publish")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="hub:OWNER/NAME|folder:PATH", help="Where to publish.")
@click.option("--private", is_flag=True, help="Make a new Hub repository private.")
@click.option("--tag", metavar="TAG", help="Name this version on the Hub, e.g. v1.0.0; a tag is never moved.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def command(folder: Path, to: str, private: bool, tag: str | None, as_json: bool) -> None:
    """Publish FOLDER, a dataset release or a trained model: create, upload, tag; safe to run again.

    The token is that of `hf auth login` or $HF_TOKEN; another Hub is named by $HF_ENDPOINT.

    \b
    parabench publish coco-paraphrase/ --to hub:parabench/coco-paraphrase --tag v1.0.0
    parabench publish coco-paraphrase/ --to folder:/shared/datasets/coco-paraphrase
    """
    from parabench.build.publish import publish
    from parabench.progress import quiet

    with quiet(as_json):
        done = publish(folder, to, private=private, tag=tag)
    click.echo(json.dumps(asdict(done)) if as_json else str(done))
