"""Where candidates come from: language models, people, rules, imports, behind one small interface."""
