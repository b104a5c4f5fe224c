"""Training strategies, losses and recipes. Not written yet."""
