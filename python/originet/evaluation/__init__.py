"""Many networks, held apart by subject: splits, folds, runs, their result and its report."""
