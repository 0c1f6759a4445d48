"""Which emotions make which classes, and how many clips the paper counts of each.

- `paper`: the classes of Tables III and IV: positive, negative, surprise, others for CASME-I and
  CASME II; the eliciting video's (anger, disgust, happiness) for CAS(ME)^2; all eight of SAMM.
- `original`: the emotions as annotated.
- `five`: happiness, surprise, disgust, repression, others, for sets that know repression. CASME-I
  has no "others"; its tense clips take their place, as in the five-class results of Table III.
- `three`: positive, negative, surprise, as in the Micro-Expression Grand Challenge of 2019.
"""

from collections import Counter
from collections.abc import Mapping

from originet.choices import TASKS
from originet.errors import InputError

# The sets whose annotations name classes that the paper merges or takes as they are.
PAPER_SETS = ("casme", "casme2", "cas_me2", "samm")

# Table II: clips by emotion, for CAS(ME)^2 by eliciting video. (The paper's text has 101 anger and
# 89 disgust clips of CAS(ME)^2.)
TABLE_II: Mapping[str, Mapping[str, int]] = {
    "casme": {
        "contempt": 1,
        "disgust": 43,
        "fear": 2,
        "happiness": 12,
        "sadness": 5,
        "surprise": 21,
        "repression": 38,
        "tense": 67,
    },
    "casme2": {
        "disgust": 58,
        "fear": 2,
        "happiness": 32,
        "others": 99,
        "sadness": 7,
        "surprise": 25,
        "repression": 27,
    },
    "cas_me2": {"anger": 102, "disgust": 88, "happiness": 151},
    "samm": {
        "anger": 57,
        "contempt": 12,
        "disgust": 9,
        "fear": 8,
        "happiness": 27,
        "others": 25,
        "sadness": 6,
        "surprise": 15,
    },
}

# Subjects, as the paper tells them.
PAPER_SUBJECTS: Mapping[str, int] = {"casme": 19, "casme2": 26, "cas_me2": 22, "samm": 29}

_MERGED = {
    "happiness": "positive",
    "disgust": "negative",
    "fear": "negative",
    "sadness": "negative",
    "surprise": "surprise",
    "contempt": "others",
    "others": "others",
    "repression": "others",
    "tense": "others",
}
_FIVE = {name: name for name in ("happiness", "surprise", "disgust", "repression", "others")}
_THREE = {
    "happiness": "positive",
    "positive": "positive",
    "anger": "negative",
    "contempt": "negative",
    "disgust": "negative",
    "fear": "negative",
    "negative": "negative",
    "repression": "negative",
    "sadness": "negative",
    "surprise": "surprise",
}


def default_task(dataset: str) -> str:
    """Returns the task of a data set where none is named: the paper's, if it has the set."""
    return "paper" if dataset in PAPER_SETS else "original"


def check_task(dataset: str, task: str) -> None:
    """Checks that a task is known and that a data set has it.

    Raises:
        InputError: if not; the message names those that there are.
    """
    known = [name for name in TASKS if _has(dataset, name)]
    if task not in known:
        raise InputError(f"{dataset} has no task {task!r}: choose {', '.join(known)}")


def class_of(dataset: str, task: str, emotion: str, elicited: str = "") -> str | None:
    """Returns the class of a clip.

    Args:
        dataset: the data set's name.
        task: one of `TASKS`.
        emotion: as annotated, normalised by `normalize_label`.
        elicited: the eliciting video's class, for the paper's task on CAS(ME)^2.

    Returns:
        The class; None if the task leaves the emotion out.

    Raises:
        InputError: if the data set has no such task.
    """
    check_task(dataset, task)
    if task == "original":
        return emotion or None
    if task == "three":
        return _THREE.get(emotion)
    if task == "five":
        return "others" if (dataset, emotion) == ("casme", "tense") else _FIVE.get(emotion)
    if dataset == "cas_me2":
        return elicited if elicited in TABLE_II[dataset] else None
    if dataset == "samm":
        return emotion if emotion in TABLE_II[dataset] else None
    return _MERGED.get(emotion)


def paper_counts(dataset: str, task: str) -> dict[str, int] | None:
    """Returns Table II's clips of each class, merged as the task merges them.

    Returns:
        Clips by class; None where Table II does not tell: for sets that the paper does not have,
        and for CAS(ME)^2 by emotion, of which it counts eliciting videos.
    """
    if dataset not in TABLE_II or (dataset == "cas_me2" and task != "paper"):
        return None
    counts: Counter[str] = Counter()
    for emotion, clips in TABLE_II[dataset].items():
        label = class_of(dataset, task, emotion, emotion)
        if label is not None:
            counts[label] += clips
    return dict(sorted(counts.items()))


def _has(dataset: str, task: str) -> bool:
    if task == "paper":
        return dataset in PAPER_SETS
    return task != "five" or dataset not in ("cas_me2", "samm")  # they have no repression
