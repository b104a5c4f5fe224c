"""What people look at: the terminal table, the reading, the pages, figures and tables of runs and comparisons."""

from parabench.report.comparison import write_comparison
from parabench.report.dataset import dataset_of
from parabench.report.page import write_report
from parabench.report.tasks import print_tasks
from parabench.report.terminal import print_runs

__all__ = ["dataset_of", "print_runs", "print_tasks", "write_comparison", "write_report"]
