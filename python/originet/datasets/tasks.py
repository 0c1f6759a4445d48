"""How emotions map to classes, and how many clips of each the paper counts.

- `paper`: the classes of Tables III and IV: positive, negative, surprise, others for CASME-I and
  CASME II; the eliciting video's (anger, disgust, happiness) for CAS(ME)^2; all eight of SAMM.
- `original`: the emotions as annotated.
- `five`: happiness, surprise, disgust, repression, others, for sets annotated with repression.
  CASME-I has no "others"; its tense clips take their place, as in the five-class results of Table
  III.
- `three`: positive, negative, surprise. Every emotion that fits one of them counts, so CASME II has
  more clips than in the Micro-Expression Grand Challenge of 2019.
- `megc2019`: the same classes on the clips of that challenge. Of CASME II, disgust and repression
  are negative, happiness is positive and surprise is surprise; others and the rarer emotions are
  left out. Of SAMM, all emotions but others are used; of SMIC, all clips.

Reference: See et al., "MEGC 2019 - The Second Facial Micro-Expressions Grand Challenge", FG 2019;
the organisers published their list as `combined_3class_gt` on the challenge's site.
"""

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple

from originet.system.choices import TASKS
from originet.system.errors import InputError

# The paper's data sets.
PAPER_SETS = ("casme", "casme2", "cas_me2", "samm")

# Table II: clips by emotion; for CAS(ME)^2 by eliciting video. (The paper's text counts 101 anger
# and 89 disgust clips of CAS(ME)^2.)
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

# Subjects, as the paper counts them.
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
_CLEAR = {
    "disgust": "negative",
    "happiness": "positive",
    "repression": "negative",
    "surprise": "surprise",
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

# Sets that are not, or not known to be, annotated with repression.
_WITHOUT_REPRESSION = ("cas_me2", "samm", "smic", "casme3", "mmew", "dfme", "fourdme")

# The challenge's clips and subjects. Of SMIC it took all that the high-speed camera recorded.
_MEGC_2019: Mapping[str, tuple[Mapping[str, int], int]] = {
    "casme2": ({"negative": 88, "positive": 32, "surprise": 25}, 24),
    "samm": ({"negative": 92, "positive": 26, "surprise": 15}, 28),
    "smic": ({"negative": 70, "positive": 51, "surprise": 43}, 16),
}

MEGC_2019_SETS = tuple(_MEGC_2019)
"""The data sets of the challenge's composite."""

# Clips of CASME II that are not on the organisers' list, whatever emotion a copy of the workbook
# gives them: two of disgust, and those labelled sadness in the copy of 2014, some of which later
# copies label surprise.
_MEGC_2019_LACKS = frozenset(
    {
        ("sub04", "EP12_01f"),
        ("sub05", "EP09_05f"),
        ("sub17", "EP15_01"),
        ("sub17", "EP15_03"),
        ("sub19", "EP19_04"),
        ("sub24", "EP07_01"),
        ("sub24", "EP07_04f"),
        ("sub24", "EP10_03"),
        ("sub26", "EP15_01"),
    }
)


class Published(NamedTuple):
    """The clips and subjects that a publication counts in a data set.

    Attributes:
        source: "paper" or "MEGC 2019".
        clips: number of clips by class, for one task.
        subjects: number of subjects.
    """

    source: str
    clips: dict[str, int]
    subjects: int


def default_task(dataset: str) -> str:
    """Returns a data set's default task: the paper's if the paper uses the set."""
    return "paper" if dataset in PAPER_SETS else "original"


def check_task(dataset: str, task: str) -> None:
    """Checks that a task is known and available for a data set.

    Raises:
        InputError: if it is not; the message lists the available tasks.
    """
    known = [name for name in TASKS if _has(dataset, name)]
    if task not in known:
        raise InputError(f"{dataset} has no task {task!r}: choose {', '.join(known)}")


def class_of(dataset: str, task: str, emotion: str, elicited: str = "") -> str | None:
    """Returns the class of a clip.

    Args:
        dataset: the data set's name.
        task: one of `TASKS`.
        emotion: as annotated, normalised by `normalize_label`; several are joined by "+". Task
            `three` needs all of them to belong to one class.
        elicited: the eliciting video's class, for the paper's task on CAS(ME)^2.

    Returns:
        The class; None if the task leaves the emotion out.

    Raises:
        InputError: if the data set has no such task.
    """
    check_task(dataset, task)
    if task == "original":
        return emotion or None
    if task == "megc2019" and dataset == "casme2":
        return _CLEAR.get(emotion)
    if task in ("three", "megc2019"):
        classes = {_THREE.get(part) for part in emotion.split("+")}
        return classes.pop() if len(classes) == 1 else None
    if task == "five":
        return "others" if (dataset, emotion) == ("casme", "tense") else _FIVE.get(emotion)
    if dataset == "cas_me2":
        return elicited if elicited in TABLE_II[dataset] else None
    if dataset == "samm":
        return emotion if emotion in TABLE_II[dataset] else None
    return _MERGED.get(emotion)


def is_listed(dataset: str, task: str, subject: str, clip: str) -> bool:
    """Returns whether a task includes a clip; only tasks with a published list leave any out."""
    return (dataset, task) != ("casme2", "megc2019") or (subject, clip) not in _MEGC_2019_LACKS


def published(dataset: str, task: str) -> Published | None:
    """Returns the published counts of a data set for a task.

    Returns:
        Table II's counts, or the challenge's for `megc2019` and for SMIC, which has its three
        classes under each task; None if there are none.
    """
    if task == "megc2019" or dataset == "smic":
        clips, subjects = _MEGC_2019[dataset]
        return Published("MEGC 2019", dict(clips), subjects)
    counts = paper_counts(dataset, task)
    return None if counts is None else Published("paper", counts, PAPER_SUBJECTS[dataset])


def paper_counts(dataset: str, task: str) -> dict[str, int] | None:
    """Returns Table II's number of clips in each class, merged as the task merges them.

    Returns:
        Clips by class. None where Table II has no counts: for data sets that the paper does not
        use, for CAS(ME)^2 by emotion (it counts eliciting videos), and for the challenge's task.
    """
    by_video = dataset == "cas_me2" and task != "paper"
    if dataset not in TABLE_II or by_video or task == "megc2019":
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
    if task == "megc2019":
        return dataset in _MEGC_2019
    return task != "five" or dataset not in _WITHOUT_REPRESSION
