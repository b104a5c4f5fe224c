"""``parabench review``."""

from __future__ import annotations

from pathlib import Path

import click

_LEDGER = click.argument("ledger", type=click.Path(path_type=Path))
_JSON = click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON on stdout and nothing else.")


@click.group("review")
def command() -> None:
    """Let people judge the sentences of a build: on a local page, or in other tools by export and import."""


@command.command("serve")
@_LEDGER
@click.option("--images", type=click.Path(path_type=Path), metavar="DIR", help="Folder with the pictures.")
@click.option("--annotator", metavar="NAME", help="Pseudonym of who judges [default: the page asks].")
@click.option("--overlap", type=click.IntRange(1), metavar="N", help="Give each sentence to at most N annotators [default: to all].")
@click.option("--port", type=click.IntRange(0, 65535), default=8765, show_default=True, help="0 takes any free port.")
def serve(ledger: Path, images: Path | None, annotator: str | None, overlap: int | None, port: int) -> None:
    """Serve the review page of LEDGER on this machine (127.0.0.1); end with Ctrl-C.

    \b
    parabench review serve my-set.ledger.sqlite --images val2017/
    parabench review serve my-set.ledger.sqlite --annotator p1 --overlap 2
    """
    from parabench.build.ledger import existing_ledger
    from parabench.build.review.agreement import review_agreement
    from parabench.build.review.server import HOST, make_app, make_server
    from parabench.build.reviews import ReviewTable

    with existing_ledger(ledger) as opened:
        server = make_server(make_app(opened, images, annotator, overlap), port)
        click.echo(f"review page: http://{HOST}:{server.port}/  (end with Ctrl-C)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            server.server_close()
        reviews = ReviewTable(opened)
        for name in reviews.annotators():
            progress = reviews.progress(name)
            click.echo(f"{name}: {progress.done:,} of {progress.total:,} judged")
        if agreement := review_agreement(reviews):
            click.echo(str(agreement))


@command.command("export")
@_LEDGER
@click.option("--out", "-o", type=click.Path(path_type=Path), required=True, metavar="FILE", help="A .csv or .jsonl file.")
@click.option("--annotator", metavar="NAME", help="Their verdicts, and empty rows for what they have not judged.")
@_JSON
def export(ledger: Path, out: Path, annotator: str | None, as_json: bool) -> None:
    """Write sentences and verdicts of LEDGER to a table that other tools can fill in."""
    import json

    from parabench.build.ledger import existing_ledger
    from parabench.build.review.exchange import export_reviews

    with existing_ledger(ledger) as opened:
        judged, empty = export_reviews(opened, out, annotator)
    if as_json:
        click.echo(json.dumps({"file": str(out), "verdicts": judged, "to_judge": empty}, ensure_ascii=False))
        return
    click.echo(f"{out}: {judged:,} verdicts, {empty:,} rows to judge")


@command.command("import")
@_LEDGER
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--annotator", metavar="NAME", help="Who judged, where FILE does not say it.")
@_JSON
def import_(ledger: Path, file: Path, annotator: str | None, as_json: bool) -> None:
    """Read the verdicts in FILE into LEDGER: all of them or, when a row is bad, none."""
    import json
    import math

    from parabench.build.ledger import existing_ledger
    from parabench.build.review.agreement import review_agreement
    from parabench.build.review.exchange import import_reviews
    from parabench.build.reviews import ReviewTable

    with existing_ledger(ledger) as opened:
        added, present, empty = import_reviews(opened, file, annotator)
        agreement = review_agreement(ReviewTable(opened))
    if as_json:
        alpha = None if agreement is None or math.isnan(agreement.alpha) else agreement.alpha
        click.echo(json.dumps({"added": added, "present": present, "without_decision": empty, "alpha": alpha}))
        return
    click.echo(f"{added:,} verdicts added, {present:,} were there already, {empty:,} rows without a decision")
    if agreement:
        click.echo(str(agreement))
