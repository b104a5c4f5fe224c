"""Quality checks of candidates: each answers keep, or drop with a reason, and records what it measured."""
