"""What people look at: the terminal table, the reading, the page."""

from parabench.report.page import write_report
from parabench.report.table import print_runs

__all__ = ["print_runs", "write_report"]
