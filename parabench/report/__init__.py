"""What people look at: the terminal table, the reading, the page."""

from parabench.report.page import write_report
from parabench.report.table import print_runs
from parabench.report.tasks import print_tasks

__all__ = ["print_runs", "print_tasks", "write_report"]
