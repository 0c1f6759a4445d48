"""Leave-one-subject-out evaluation: splits, folds, runs, results and reports."""
