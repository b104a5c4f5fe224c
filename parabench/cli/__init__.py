"""The command line: one module a command, no logic.  Commands are imported when they are called."""

from __future__ import annotations

import atexit
import gc
import sys

from parabench.cli.main import cli
from parabench.errors import ParabenchError


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``parabench``: exit 0 when done, 1 on failure, 2 on wrong usage; no traceback for a user's mistake."""
    import shlex

    import click

    arguments = sys.argv[1:] if arguments is None else arguments
    atexit.register(gc.freeze)  # the collector's last look at a million objects of torch takes a second
    try:
        # the command itself travels along as the context's object: runs record it
        code = cli.main(
            args=arguments, prog_name="parabench", standalone_mode=False, obj=shlex.join(["parabench", *arguments])
        )
        sys.exit(code if isinstance(code, int) else 0)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.exceptions.Abort:
        print("stopped; run the same command again and it continues where it was", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("stopped; run the same command again and it continues where it was", file=sys.stderr)
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except ParabenchError as error:
        print(f"parabench: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        sys.exit(1)
