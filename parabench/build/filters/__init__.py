"""Quality checks of candidates: each answers keep, or drop with a reason, and records what it measured.

    config = FilterConfig.read(Path("my_filters.yaml"))         # or None: the defaults
    filters = load_filters(config, training_captions=None)
    funnel = Funnel()
    for candidate in run_filters(candidates, filters, funnel):
        ...
"""

from parabench.build.filters.base import Filter, Verdict
from parabench.build.filters.config import FilterConfig
from parabench.build.filters.load import filters_fingerprint, load_filters
from parabench.build.filters.run import Funnel, run_filters

__all__ = ["Filter", "FilterConfig", "Funnel", "Verdict", "filters_fingerprint", "load_filters", "run_filters"]
