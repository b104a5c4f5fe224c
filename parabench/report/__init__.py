"""What people look at: the terminal table, the reading, the pages, figures and tables of runs and comparisons."""

from typing import TYPE_CHECKING

from parabench.lazy import lazy

if TYPE_CHECKING:
    from parabench.report.comparison import write_comparison
    from parabench.report.dataset import dataset_of
    from parabench.report.page import write_report
    from parabench.report.tasks import print_tasks
    from parabench.report.terminal import print_runs

__all__ = ["dataset_of", "print_runs", "print_tasks", "write_comparison", "write_report"]

__getattr__ = lazy(
    __name__,
    {
        "dataset_of": "parabench.report.dataset",
        "print_runs": "parabench.report.terminal",
        "print_tasks": "parabench.report.tasks",
        "write_comparison": "parabench.report.comparison",
        "write_report": "parabench.report.page",
    },
)
