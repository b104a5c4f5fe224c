"""Figures of runs and comparisons."""

from parabench.report.figures.canvas import Figure
from parabench.report.figures.curves import curve_figures
from parabench.report.figures.slices import slice_figures
from parabench.report.figures.spread import agreement_figure, spread_figure
from parabench.report.figures.stability import difference_figure, stability_figure

__all__ = ["Figure", "agreement_figure", "curve_figures", "difference_figure", "slice_figures", "spread_figure", "stability_figure"]
