"""Whether a ratio got worse, against results measured earlier, on this machine or another one.

Absolute times say little on a shared machine, so only ratios within one run are compared: the fused
kernel's time over that of a clone, of eager PyTorch, of SiLU, of OpenCV, and of clips of equal
lengths in the same case, all timed in interleaved rounds. A median still strays where other
programs run. A ratio therefore counts as worse only if the ratio of the medians is, and if the two
runs' spreads do not overlap: the best ratio of now, the fused kernel's 20 % quantile over the
rival's 80 %, is above the worst of then, the 80 % quantile over the rival's 20 %. On a quiet
machine the spreads are a few per cent.
"""

from collections.abc import Iterable
from typing import NamedTuple

from originet.system.errors import InputError
from originet.system.timings import Row

RIVALS = ("clone", "eager", "silu", "opencv", "equal")
TOLERANCE = 0.10

# The rows of one case on one device, by provider; these by device name; these by what was measured.
_Timed = dict[str, Row]
_Cases = dict[tuple[str | int, ...], dict[str, _Timed]]


class Change(NamedTuple):
    """A ratio that got worse: the fused kernel's time over a rival's, by the medians."""

    row: Row
    rival: str
    committed: float
    measured: float


class _Ratio(NamedTuple):
    """The fused kernel's time over a rival's: of the medians, and as far as the quantiles allow."""

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
    """What was compared, and what got worse, the worst first."""

    cases: int
    ratios: int
    devices: list[tuple[str, str]]
    """Pairs of (measured on, committed on)."""
    worse: list[Change]


def compare(
    measured: Iterable[Row], committed: Iterable[Row], tolerance: float = TOLERANCE
) -> Regressions:
    """Compare the ratios of the cases that both have: benchmark, mode, dtype, shape, threads.

    Where the committed results hold a case for the same device, that one is taken, else the one of
    another device of the same kind (CPU or GPU).

    Args:
        measured: Rows of a run.
        committed: Rows to hold against them.
        tolerance: How much worse a ratio may be, as a share.

    Raises:
        InputError: They have no ratio in common, or a case was committed for several devices and
            none of them is the one measured on.
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
                raise InputError(f"committed results are of {names}; none of them is {name}")
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
        raise InputError("no case of these results is among the committed ones")
    worse.sort(key=lambda change: change.measured / change.committed, reverse=True)
    return Regressions(cases, ratios, list(devices), worse)


def _cases(rows: Iterable[Row]) -> _Cases:
    cases: _Cases = {}
    for row in rows:
        kind = (row.benchmark, row.mode, row.device, row.dtype, row.shape, row.layout, row.threads)
        cases.setdefault(kind, {}).setdefault(row.device_name, {})[row.provider] = row
    return cases
