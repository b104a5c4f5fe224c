"""Review by people: a small local page, and export/import for those who use other tools."""
