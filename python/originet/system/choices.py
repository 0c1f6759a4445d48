"""What help texts name of modules that take long to import: choices and a default.

This module imports nothing, so `originet --help` and a wrong option are answered before torch is
loaded. A tuple that is a module's own is defined here and imported there; the keys of a table,
whose values are classes or functions, are repeated here, and `tests/system/test_choices.py` holds
the two together.
"""

METHODS = (
    "cumulative",
    "telescoped",
    "authors",
    "absolute",
    "rectified",
    "rank",
    "rank-simple",
    "learnet",
)
"""Readings of the active image: `originet_ext.METHODS`."""

DATASETS = ("casme", "casme2", "cas_me2", "samm", "folder", "synthetic")
"""What `originet.datasets.survey` knows."""

TASKS = ("paper", "original", "five", "three", "megc2019")
"""How emotions become classes, see `originet.datasets.tasks`."""

RESIDUAL = (0.0, 0.1)
"""Share of the peak that is left in the last frames of generated clips, see
`originet.datasets.synth`."""

EXECUTORS = ("serial", "processes", "ray")
"""Where folds are computed: the keys of `originet.evaluation.executors.EXECUTORS`."""

ABLATIONS = ("Sig", "LR", "LFC", "KS-1", "KS-2", "WDy", "OrigiNet")
"""Rows of Table VI: the names of `originet.paper.ablation.ROWS`."""

COMPARED = (
    "AlexNet",
    "VGG-16",
    "VGG-19",
    "GoogLeNet",
    "ResNet-50",
    "MobileNet",
    "MobileNetV2",
    "OrigiNet",
    "LBP-TOP",
)
"""Rows of Tables III and IV that are measured: `originet.paper.comparison.ROWS`."""

QUICK_ROWS = ("MobileNet", "OrigiNet", "LBP-TOP")
"""Those of `originet reproduce --quick`, where none are named."""

SUBJECTS = ("rrelu", "join", "compiled", "active-image", "model", "prepare", "loso")
"""What `originet.bench` times."""
