"""Movements that were never spotted."""

from originet.spotting.intervals import Interval


def interval(face=0, start=1.0, **values):
    times = {"onset_seconds": start, "apex_seconds": start + 0.1, "offset_seconds": start + 0.2}
    usual = {"kind": "micro", "regions": ("brow_left",), "score": 5.0, "energy": 0.3}
    frames = {"onset": 31, "apex": 34, "offset": 37}
    return Interval(face, **(frames | times | usual | values))
