"""Networks and their folder: image tower, text tower, alignment layers, the dual encoder that joins them.

Nothing here is imported before it is used: the networks need torch, the configuration does not.
"""
