"""A small result of a leave-one-subject-out evaluation, made up without training."""

import numpy as np

from originet.evaluation import metrics
from originet.evaluation.result import LosoResult
from originet.training.config import Config

SUBJECTS = ("s1", "s1", "s2", "s2", "s2", "s<b>3")
TRUE = np.array([0, 1, 0, 1, 1, 0])
PREDICTED = np.array([[0, 1, 0, 0, 1, 1], [0, 1, 1, 1, 1, 1]])
EPOCHS = 7


def make_fold(row, seed, index, subject):
    of = np.flatnonzero(np.array(SUBJECTS) == subject)
    sure = 0.6 + 0.05 * of + 0.02 * row  # of the prediction
    shares = np.stack([1 - sure, sure], axis=1)
    shares[PREDICTED[row][of] == 0] = shares[PREDICTED[row][of] == 0, ::-1]
    history = [
        {
            **{"epoch": epoch, "loss": 2 / epoch + index, "accuracy": epoch / 10},
            **{"validation_loss": 3 / epoch, "validation_accuracy": 0.1 * (index + row)},
        }
        for epoch in range(1, EPOCHS + 1)
    ]
    return {
        **{"seed": seed, "index": index, "subject": subject, "device": "cpu", "seconds": 7.0},
        "clips": [f"clip{i}" for i in of],
        "true": TRUE[of].tolist(),
        "predicted": PREDICTED[row][of].tolist(),
        "probabilities": shares.tolist(),
        "accuracy": metrics.accuracy(TRUE[of], PREDICTED[row][of]),
        "history": history,
        "selected_epoch": 2 + index + row,
    }


def make_result(dataset="semi-synthetic", seeds=(0, 1), confusion=((3, 3), (1, 5))):
    """Two classes, 6 clips of 3 subjects; seed 0 has 4 right, seed 1 too."""
    return LosoResult(
        dataset=dataset,
        classes=("negative", "others"),
        config=Config(seeds=seeds, epochs=EPOCHS),
        model={"class": "OrigiNet", "parameters": 1872548},
        clips=[(subject, f"clip{i}") for i, subject in enumerate(SUBJECTS)],
        y_true=TRUE,
        y_pred=PREDICTED[: len(seeds)],
        folds=[
            make_fold(row, seed, index, subject)
            for row, seed in enumerate(seeds)
            for index, subject in enumerate(dict.fromkeys(SUBJECTS))
        ],
        metrics={
            **{"pooled_accuracy": 0.75, "fold_accuracy": 0.61, "uf1": 0.53, "uar": 0.52},
            **{"pooled_accuracy_std": 0.02, "fold_accuracy_std": 0.03},
            **{"uf1_std": 0.04, "uar_std": 0.05},
        },
        intervals={
            **{"pooled_accuracy": (0.6123, 0.8), "fold_accuracy": (0.5, 0.7)},
            **{"uf1": (0.4, 0.6), "uar": (0.41, 1.0)},
        },
        baseline=metrics.majority_baseline(TRUE, SUBJECTS),
        confusion=np.array(confusion),
        clip_list_sha256="ab12" * 16,
        images_sha256="cd34" * 16,
        compute={"device": "cpu", "torch": "2.13.0", "threads": 2},
        seconds=12.34,
    )


def make_images():
    """An image of its own for each clip, by subject and clip."""
    return {
        (subject, f"clip{i}"): np.full((8, 8), 40 * i, np.uint8)
        for i, subject in enumerate(SUBJECTS)
    }
