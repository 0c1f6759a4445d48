"""One network: its settings, what it learns from, the loop that trains it, its weights."""
