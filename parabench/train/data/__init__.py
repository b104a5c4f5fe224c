"""Training data: pictures with captions in memory, or a stream of tar shards; both give batches with a position.

Everything random is a function of seed, epoch and sample, so that a position is all that a checkpoint needs.
"""
