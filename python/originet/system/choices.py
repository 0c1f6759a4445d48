"""Choices and a default for help texts, kept apart from the modules that are slow to import.

This module imports nothing, so `originet --help` and a mistyped option get an answer before torch
is loaded. Tuples are defined here and imported where they are used. The keys of tables whose values
are classes or functions are repeated here; `tests/system/test_choices.py` checks that they agree.
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

STILLS = ("onset", "apex")
"""Frames of a clip that stand for themselves, as channels beside active images."""

FLOWS = ("dis", "tvl1")
"""Optical flows from the onset to the apex, see `originet.clips.flow`."""

SOURCES = (*METHODS, *STILLS, *FLOWS)
"""What a clip can be made into; several become channels, see `originet.system.channels`."""

DATASETS = (
    "casme",
    "casme2",
    "cas_me2",
    "samm",
    "smic",
    "casme3",
    "mmew",
    "dfme",
    "fourdme",
    "folder",
    "synthetic",
)
"""Data sets that `originet.datasets.survey` can read."""

TASKS = ("paper", "original", "five", "three", "megc2019")
"""How emotions become classes, see `originet.datasets.tasks`."""

RESIDUAL = (0.0, 0.1)
"""Share of the peak that remains in the last frames of generated clips, see
`originet.datasets.synth`."""

FACES = ("viola-jones", "landmarks", "none")
"""How a face is found and cut out, see `originet.clips.clip.open_clip`; first the paper's way."""

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

NETWORKS = (
    *(name for name in COMPARED if name != "LBP-TOP"),
    "LEARNet",
    "STSTNet",
    "OFF-ApexNet",
    "Dual-Inception",
    "RCN-A",
)
"""Networks by name: those of `originet.training.networks.table`."""

QUICK_ROWS = ("MobileNet", "OrigiNet", "LBP-TOP")
"""Default rows of `originet reproduce --quick`."""

SUBJECTS = ("rrelu", "join", "compiled", "active-image", "model", "prepare", "loso")
"""Subjects that `originet.bench` can time."""

RUNTIMES = ("onnx", "openvino", "aoti")
"""What `originet export` writes networks for: the keys of `originet.deploy.runtimes.FILES`."""
