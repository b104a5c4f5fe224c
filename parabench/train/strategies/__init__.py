"""How a text tower is made from a language model, and which of its parameters train: one file a strategy."""
