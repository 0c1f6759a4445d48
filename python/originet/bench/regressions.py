"""Finds ratios that got worse since earlier results, from this machine or another one.

Absolute times say little on a shared machine, so only ratios within one run are compared: the fused
kernel's time over that of a clone, of eager PyTorch, of SiLU, of OpenCV, or of clips of equal
length in the same case. All are timed in interleaved rounds. Medians still vary when other programs
run. A ratio therefore counts as worse only if the ratio of the medians is worse and the spreads of
the two runs do not overlap: the best new ratio (the fused kernel's 20 % quantile over the rival's
80 % quantile) must be above the worst old one (80 % over 20 %). On an idle machine the spreads are
a few percent.
"""

from collections.abc import Iterable
from typing import NamedTuple

from originet.system.errors import InputError
from originet.system.timings import Row

RIVALS = ("clone", "eager", "silu", "opencv", "equal")
TOLERANCE = 0.10

# The rows of a case on one device, by provider; and those of all cases, by case and device name.
_Timed = dict[str, Row]
_Cases = dict[tuple[str | int, ...], dict[str, _Timed]]


class Change(NamedTuple):
    """A ratio that got worse: the fused kernel's median time over a rival's."""

    row: Row
    rival: str
    committed: float
    measured: float


class _Ratio(NamedTuple):
    """The fused kernel's time over a rival's: by the medians, and the extremes by quantiles."""

    best: float
    median: float
    worst: float

    @classmethod
    def of(cls, fused: Row, rival: Row) -> "_Ratio":
        return cls(
            fused.q20_us / rival.q80_us,
            fused.median_us / rival.median_us,
            fused.q80_us / rival.q20_us,
        )


class Regressions(NamedTuple):
    """What was compared, and what got worse, sorted by how much."""

    cases: int
    ratios: int
    devices: list[tuple[str, str]]
    """Pairs of (measured on, committed on)."""
    worse: list[Change]


def compare(
    measured: Iterable[Row], committed: Iterable[Row], tolerance: float = TOLERANCE
) -> Regressions:
    """Compare the ratios of the cases that both have: same benchmark, mode, dtype, shape, threads.

    Committed results of the same device are preferred; otherwise those of another device of the
    same kind (CPU or GPU) are used.

    Args:
        measured: Rows of a run.
        committed: Rows to compare them with.
        tolerance: How much worse a ratio may be, as a fraction.

    Raises:
        InputError: They have no ratio in common, or a case was committed for several devices but
            not for the measured one.
    """
    known = _cases(committed)
    cases, ratios = 0, 0
    devices: dict[tuple[str, str], None] = {}  # in order
    worse: list[Change] = []
    for kind, by_device in _cases(measured).items():
        for name, now in by_device.items():
            choice = known.get(kind, {})
            if not choice:
                continue
            if name not in choice and len(choice) > 1:
                names = ", ".join(choice)
                raise InputError(f"committed results are for {names}, not for {name}")
            before_name = name if name in choice else next(iter(choice))
            before = choice[before_name]
            rivals = [r for r in RIVALS if r in now and r in before]
            if not rivals or "fused" not in now or "fused" not in before:
                continue
            cases += 1
            ratios += len(rivals)
            devices[name, before_name] = None
            for rival in rivals:
                new, old = (_Ratio.of(timed["fused"], timed[rival]) for timed in (now, before))
                if new.median > (1 + tolerance) * old.median and new.best > old.worst:
                    worse.append(Change(now["fused"], rival, old.median, new.median))
    if not ratios:
        raise InputError("these results and the committed ones have no case in common")
    worse.sort(key=lambda change: change.measured / change.committed, reverse=True)
    return Regressions(cases, ratios, list(devices), worse)


def _cases(rows: Iterable[Row]) -> _Cases:
    cases: _Cases = {}
    for row in rows:
        kind = (row.benchmark, row.mode, row.device, row.dtype, row.shape, row.layout, row.threads)
        cases.setdefault(kind, {}).setdefault(row.device_name, {})[row.provider] = row
    return cases
