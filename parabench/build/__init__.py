"""Building a benchmark: sampling, generation, quality checks, review, release. Not written yet."""
