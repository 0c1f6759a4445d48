"""What a clip is made into, all in one pass over its frames: see `originet.system.channels`."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from originet.clips.apex import ApexFinder
from originet.clips.flow import check_flow, flow
from originet.clips.still import Image
from originet.system.channels import MADE_BY_APEX
from originet.system.choices import FLOWS, METHODS
from originet.system.errors import InputError
from originet.system.memory import check_memory
from originet_ext import ActiveImageAccumulator


class ChannelMaker:
    """Takes the frames of a clip one by one and makes its channels.

    The onset is the first frame. An apex that is not annotated is estimated as the frame that adds
    most to the active image, the one that differs most from the onset, see `originet.clips.apex`.
    All frames are kept for that, and only for that.

    Args:
        clip: the clip's name, for messages.
        sources: some of `originet.system.choices.SOURCES`.
        apex: the number of the annotated apex; None estimates it.
    """

    def __init__(self, clip: str, sources: Sequence[str], apex: int | None = None) -> None:
        self._clip, self._sources, self._wanted = clip, sources, apex
        self._sums = {
            name: ActiveImageAccumulator(name, "minmax") for name in sources if name in METHODS
        }
        self._needs_apex = any(name in MADE_BY_APEX for name in sources)
        self._finder = ApexFinder() if self._needs_apex and apex is None else None
        self._kept: list[Image] = []
        self._onset: Image | None = None
        self._apex: Image | None = None

    def see(self, frame: Image, number: int) -> None:
        """Takes the next frame.

        Args:
            frame: [S, S] uint8; not to be written to afterwards.
            number: its number in the clip.

        Raises:
            InputError: if there is no memory to keep the frames in.
        """
        for accumulator in self._sums.values():
            accumulator.update(frame)
        self._onset = frame if self._onset is None else self._onset
        if number == self._wanted:
            self._apex = frame
        if self._finder is not None:
            self._finder.see(frame)
            count = len(self._kept)
            if count & (count - 1) == 0:  # where a list has to grow
                check_memory(f"{self._clip}: estimating the apex", max(count, 1) * frame.nbytes)
            self._kept.append(frame)

    def result(self) -> tuple[NDArray[Any], ...]:
        """Returns what the frames were made into, in the order of the sources.

        Returns:
            Active images, stretched to 0..255, and frames: [S, S] uint8. Flows: [S, S, 3] float32.

        Raises:
            InputError: if the annotated apex was not among the frames, or there were none.
        """
        if self._onset is None:
            raise InputError(f"{self._clip} has no frames")
        if self._finder is not None:
            self._apex = self._kept[self._finder.apex()]
        if self._apex is None and self._needs_apex:
            raise InputError(f"apex {self._wanted} is not among the frames of {self._clip}")
        return tuple(self._make(source, self._onset, self._apex) for source in self._sources)

    def _make(self, source: str, onset: Image, apex: Image | None) -> NDArray[Any]:
        if source in self._sums:
            return self._sums[source].result().round().astype(np.uint8)
        if source == "onset":
            return onset
        assert apex is not None  # `result` has checked it
        return apex if source == "apex" else flow(onset, apex, source)


def check_sources(sources: Sequence[str], side: int) -> None:
    """Checks that clips can be made into some sources, in frames of a size.

    Raises:
        InputError: as for `originet.clips.flow.check_flow`.
    """
    for source in sources:
        if source in FLOWS:
            check_flow(source, side)


def joined(images: dict[str, NDArray[Any]], sources: Sequence[str]) -> NDArray[Any]:
    """Puts what clips were made into side by side, as channels.

    Args:
        images: [..., S, S] uint8 or, for flows, [..., S, S, 3] float32, by source.
        sources: which, in their order.

    Returns:
        The images themselves if there is one source; else [..., S, S, C], float32 if there is a
        flow among them and uint8 if not.
    """
    if len(sources) == 1:
        return images[sources[0]]
    parts = [images[name] if name in FLOWS else images[name][..., None] for name in sources]
    return np.concatenate(parts, axis=-1)
