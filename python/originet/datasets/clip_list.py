"""Clip lists, such as published ones, that restrict a run to the clips they name.

A list is a CSV file with the columns `subject` and `clip`, and `dataset` if it covers several sets;
a run's `predictions.csv` is one. Other columns and the order of the rows do not matter. Spreadsheet
programs drop leading zeros and some lists number the subjects, so `6` also matches `006` or
`sub06`, and `s3_ne_01` matches `s03_ne_01`.
"""

import dataclasses
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from originet.datasets.bounds import check_name
from originet.datasets.csv_rows import read_rows
from originet.datasets.survey import Correction, Gap, Omission, Survey
from originet.datasets.table import KEY, ClipTable
from originet.system.errors import InputError
from originet.system.words import counted

_REQUIRED = ("subject", "clip")


class Clip(NamedTuple):
    """The names that identify a clip.

    Attributes:
        dataset: the data set; "" in a list without that column.
        subject: the subject.
        clip: the clip's name.
    """

    dataset: str
    subject: str
    clip: str

    def __str__(self) -> str:
        """Joins the names that are not empty, as in casme2/sub01/EP02_01f."""
        return "/".join(filter(None, self))


@dataclass(frozen=True)
class Match:
    """The result of looking up a list's clips among known ones.

    Attributes:
        places: indices of the known clips that are listed, ascending.
        missing: the listed clips that are not known, by the line that names them.
    """

    places: list[int]
    missing: dict[str, Clip]


@dataclass(frozen=True)
class ClipList:
    """A list of clips.

    Attributes:
        path: its file.
        clips: by the line that names them.
        sha256: hash of the file's content, as it was read.
    """

    path: Path
    clips: dict[str, Clip]
    sha256: str

    def besides(self, here: Collection[str]) -> str:
        """Counts the listed clips of other data sets, as a text; "" if there are none."""
        names = Counter(each.dataset for each in self.clips.values())
        others = sorted(names.keys() - {"", *(name.lower() for name in here)})
        return ", ".join(f"{counted(names[name], 'clip')} of {name}" for name in others)

    def match(self, known: Sequence[Clip]) -> Match:
        """Looks up the listed clips among known ones.

        Args:
            known: the known clips, of one data set or several.

        Returns:
            The clips that were found, and those that are missing. Listed clips of other data sets
            are ignored.

        Raises:
            InputError: if the list has no clips of these data sets, names a clip twice, or names a
                clip that two data sets have without saying which.
        """
        here = dict.fromkeys(each.dataset.lower() for each in known)
        wanted = {where: each for where, each in self.clips.items() if each.dataset in {"", *here}}
        if not wanted:
            sets = ", ".join(here)
            raise InputError(f"{self.path} lists no clips of {sets}, only {self.besides(here)}")
        written: dict[tuple[str, str], list[int]] = defaultdict(list)
        unpadded: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, each in enumerate(known):
            written[each.subject, each.clip].append(place)
            for subject in {_unpadded(each.subject), _number(each.subject)}:
                unpadded[subject, _unpadded(each.clip)].append(place)
        found: dict[int, str] = {}
        missing = {}
        for where, each in wanted.items():
            places = _of_set(each.dataset, known, written.get((each.subject, each.clip), ()))
            if not places:
                name = _unpadded(each.subject), _unpadded(each.clip)
                places = _of_set(each.dataset, known, unpadded.get(name, ()))
            if len(places) > 1:
                both = " and ".join(str(known[place]) for place in places)
                raise InputError(f"{where}: {each} could be {both}: fill in the column dataset")
            if not places:
                missing[where] = each
            elif places[0] in found:
                raise InputError(f"{where}: {each} is the same clip as in {found[places[0]]}")
            else:
                found[places[0]] = where
        return Match(sorted(found), missing)


def read_clip_list(path: Path) -> ClipList:
    """Reads a list of clips.

    Args:
        path: its file; may be /dev/stdin if that is a pipe, which can be read only once.

    Raises:
        InputError: if there is no such file, it is not a CSV file with these columns, a column
            occurs twice, one of their cells is empty, or two rows name the same clip.
    """
    rows = read_rows(path, _REQUIRED, {"dataset": ()}, piped=True)
    for bad in rows.bad:
        raise InputError(f"{bad.where}: {bad.reason}")
    clips: dict[str, Clip] = {}
    first: dict[Clip, str] = {}
    for where, cells in rows.good:
        if "dataset" in rows.read and not cells["dataset"]:
            raise InputError(f"{where}: dataset is empty")
        each = Clip(cells["dataset"].lower(), cells["subject"], cells["clip"])
        try:
            for name in each:
                check_name(name)
        except InputError as error:
            raise InputError(f"{where}: {error}") from error
        if each in first:
            raise InputError(f"{where}: {each} is already listed in {first[each]}")
        first[each] = where
        clips[where] = each
    return ClipList(path, clips, rows.sha256)


def clips_of(table: ClipTable) -> list[Clip]:
    """Returns the names of a table's clips, in its order."""
    return [Clip(*map(str, row)) for row in table[KEY].itertuples(index=False)]


def restrict(found: Survey, listed: ClipList) -> Survey:
    """Restricts a survey to a list.

    Args:
        found: the data set.
        listed: the list.

    Returns:
        The survey of the listed clips alone. Listed clips that are not in its table are among the
        unusable ones, with the reason.

    Raises:
        InputError: as `ClipList.match`.
    """
    rows = clips_of(found.table)
    omitted: dict[Clip, Omission] = {}
    for entry in (*found.unusable, *found.left_out):
        omitted.setdefault(Clip(found.dataset, entry.subject, entry.clip), entry)
    known = list(dict.fromkeys([*rows, *omitted]))
    match = listed.match(known or [Clip(found.dataset, "", "")])
    wanted = {known[place] for place in match.places}
    names = {(each.subject, each.clip) for each in wanted}

    def is_wanted(entry: Correction | Omission | Gap) -> bool:
        return (entry.subject, entry.clip) in names

    kept = [place for place, clip in enumerate(rows) if clip in wanted]
    reason = f"there is no such clip in {found.dataset}"
    unusable = [
        *filter(is_wanted, (*found.unusable, *found.left_out)),
        *(Omission(where, e.subject, e.clip, "", reason) for where, e in match.missing.items()),
    ]
    count = len(match.places) + len(match.missing)
    others = listed.besides({found.dataset, *(each.dataset for each in rows)})
    remark = (
        f"restricted to {listed.path} (SHA-256 {listed.sha256}): {counted(count, 'clip')} of "
        f"{found.dataset}"
        + (f" (the list also has {others})" if others else "")
        + f"; {len(known) - len(wanted)} others left out"
    )
    return dataclasses.replace(
        found,
        table=found.table.iloc[kept].reset_index(drop=True),
        corrections=tuple(filter(is_wanted, found.corrections)),
        unusable=tuple(unusable),
        left_out=(),
        gaps=tuple(filter(is_wanted, found.gaps)),
        remarks=(*found.remarks, remark),
        clips_file=listed.path,
        clips_file_sha256=listed.sha256,
    )


def _of_set(dataset: str, known: Sequence[Clip], places: Sequence[int]) -> list[int]:
    """Keeps the indices of a data set's clips; "" means any data set."""
    return [place for place in places if dataset in ("", known[place].dataset.lower())]


def _number(subject: str) -> str:
    """Returns the number at the end of a subject's name, if there is no other in it."""
    digits = re.fullmatch(r"\D*(\d+)", subject, re.ASCII)
    return _unpadded(digits[1] if digits else subject)


def _unpadded(name: str) -> str:
    """Removes the leading zeros of all numbers in a name."""
    return re.sub(r"(?<!\d)0+(?=\d)", "", name, flags=re.ASCII)
