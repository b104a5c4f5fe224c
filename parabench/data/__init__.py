"""Benchmarks: the format, where they come from, and their pictures."""

from parabench.data.benchmark import Benchmark
from parabench.data.images import ImageStore
from parabench.data.loading import load

__all__ = ["Benchmark", "ImageStore", "load"]
