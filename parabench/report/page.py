"""The page of a run."""
from collections.abc import Sequence
from pathlib import Path
from typing import Any
def write_report(runs: Sequence[Any], benchmark: Any, images: Any, page: Path) -> None:
    """TODO"""
