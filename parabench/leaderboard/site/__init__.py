"""The static site: a table, a plot, a page an entry, any two head to head, exports and a feed."""

from parabench.leaderboard.site.build import Built, build_site

__all__ = ["Built", "build_site"]
