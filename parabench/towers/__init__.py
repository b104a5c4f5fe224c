"""Networks and their checkpoint format. Not written yet."""
