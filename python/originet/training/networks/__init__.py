"""Networks by name, from which `loso`, `compare` and `train` take theirs; see `table`."""
