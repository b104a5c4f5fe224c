"""Errors made for people: what was wrong, where, and what to type instead.

Every mistake that a user can make ends in a :class:`ParabenchError`.  The command line prints its one
line without a traceback and exits with ``exit_code``; library callers can catch it like any exception.
"""

from __future__ import annotations

import difflib
import textwrap
from collections.abc import Iterable


class ParabenchError(Exception):
    """A problem that the user can fix.

    Args:
        problem: what is wrong and where, in one line (names the file, row, option or model).
        remedy: what to do or type instead, in one line; may be empty when ``problem`` already says it.
    """

    exit_code = 1

    def __init__(self, problem: str, remedy: str = "") -> None:
        self.problem = " ".join(problem.split())
        self.remedy = " ".join(remedy.split())
        super().__init__(f"{self.problem} → {self.remedy}" if self.remedy else self.problem)

    def __reduce__(self) -> tuple[object, ...]:
        return _restored, (type(self), self.problem, self.remedy)  # what a worker's process raises arrives whole


def _restored(kind: type[ParabenchError], problem: str, remedy: str) -> ParabenchError:
    error = kind.__new__(kind)
    ParabenchError.__init__(error, problem, remedy)
    return error


class UsageError(ParabenchError):
    """The command or call itself is wrong: an unknown name, a malformed option (exit code 2)."""

    exit_code = 2


class DataError(ParabenchError):
    """A file, picture or dataset is not what it has to be."""


class ModelError(ParabenchError):
    """A model can't be found, loaded or run, or returned something unusable."""


class MissingDependencyError(ParabenchError):
    """A package of an optional extra is not installed."""

    def __init__(self, package: str, extra: str, needed_for: str) -> None:
        super().__init__(
            f"{needed_for} needs the package '{package}', which is not installed",
            f"pip install 'parabench[{extra}]'",
        )


def did_you_mean(name: str, known: Iterable[str], limit: int = 3) -> str:
    """A hint for a mistyped ``name``: ``did you mean 'tfidf'?`` or, with no near match, what is known."""
    names = sorted(set(known))
    if near := near_names(name, names, limit):
        return "did you mean " + " or ".join(f"'{candidate}'" for candidate in near) + "?"
    shown = ", ".join(names[:12]) + (f", … ({len(names)} in all)" if len(names) > 12 else "")
    return f"known: {shown}" if names else "none are known"


def near_names(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """What a mistyped ``name`` may stand for among ``known``, the nearest first."""
    lowered = {candidate.lower(): candidate for candidate in sorted(set(known))}
    return [lowered[candidate] for candidate in difflib.get_close_matches(name.lower(), list(lowered), n=limit, cutoff=0.6)]


def brief(error: BaseException, limit: int = 240) -> str:
    """What another library said, on one line of at most ``limit`` characters, cut between words."""
    return textwrap.shorten(str(error), limit, placeholder=" …")
