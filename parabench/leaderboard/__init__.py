"""Submissions and their re-scoring. Not written yet."""
