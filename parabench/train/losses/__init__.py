"""Contrastive losses, each with its equation and source; all work on the global batch of any number of ranks."""
