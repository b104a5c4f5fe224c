"""The command line: one module a command, no logic.  Commands are imported when they are called."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import warnings

from parabench.cli.main import cli
from parabench.errors import ParabenchError


def main(arguments: list[str] | None = None) -> None:
    """Entry point of ``parabench``: exit 0 when done, 1 on failure, 2 on wrong usage; no traceback for a user's mistake."""
    import shlex

    import click

    arguments = sys.argv[1:] if arguments is None else arguments
    atexit.register(gc.freeze)  # the collector's last look at a million objects of torch takes a second
    # Pillow's own warning of pictures that parabench reads or refuses by its own limit
    warnings.filterwarnings("ignore", message=r"Image size \(\d+ pixels\) exceeds limit")
    try:
        # the command itself travels along as the context's object: runs record it
        code = cli.main(
            args=arguments, prog_name="parabench", standalone_mode=False, obj=shlex.join(["parabench", *arguments])
        )
        sys.stdout.flush()  # what can't be written is said here, not by the interpreter while it ends
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
    except MemoryError as error:
        print(f"parabench: not enough memory{f' ({error})' if str(error) else ''} → ask for less at a time", file=sys.stderr)
        sys.exit(1)
    except OSError as error:
        if error.filename is not None or error.errno is None:  # of some file: whoever opened it should have said more
            raise
        print(f"parabench: can't write the output: {error.strerror}", file=sys.stderr)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it holds what can't be written, and would be tried again
        sys.exit(1)
