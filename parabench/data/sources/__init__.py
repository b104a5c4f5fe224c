"""Public sets as benchmarks, one file a source."""
