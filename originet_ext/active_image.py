"""Active imaging: a clip of frames summed over time into one image, in one pass over the frames."""

from collections.abc import Sequence
from itertools import accumulate, pairwise

import numpy as np
import torch
from torch import Tensor
from torch.overrides import handle_torch_function, has_torch_function

from originet_ext._cache import cached
from originet_ext._checks import METHODS, MOTION_METHODS, NORMALIZATIONS, check_method
from originet_ext._clips import is_single, tensors_of, unpack_clips
from originet_ext._device_weights import put_weights
from originet_ext._weights import weight_terms
from originet_ext.temporal_pool import pool_motion, pool_terms

__all__ = ["METHODS", "NORMALIZATIONS", "active_image"]


def active_image(
    frames: Tensor | Sequence[Tensor],
    offsets: Tensor | None = None,
    method: str = "cumulative",
    normalize: str = "none",
) -> Tensor:
    """Sums a clip into one image that captures its motion.

    The paper sums FT(t-1) + FT(t) over t = 2..n, with FT(1) = 0, and its Eq. (3) can be read in two
    ways. With frames F_1..F_n the methods are

    - `cumulative`: FT(t) = F_t - F_1, every frame against the onset; the sum is
      2 (F_2 + ... + F_(n-1)) + F_n - (2n - 3) F_1;
    - `telescoped`: FT(t) = F_t - F_(t-1); the sum is F_n + F_(n-1) - 2 F_1 (n = 2: F_2 - F_1), so
      only three frames are read, and an expression that is over by then leaves no trace;
    - `authors`: weights max(m-1, 0) - max(n-2-m, 0) for m = 0..n-1, as in the authors' released
      program; equals `rank-simple` except for the two end frames;
    - `absolute`: the sum of `telescoped` over |FT|, the motion energy;
    - `rectified`: the same over max(FT, 0), which saturating uint8 subtraction gives;
    - `rank`: approximate rank pooling (the dynamic image); `rank-simple`: weights 2t - n - 1;
    - `learnet`: the authors' LEARNet program; its weights sum to n, so the face stays visible.

    A clip of one frame gives zeros. All methods except `rank` and `learnet` are exact for uint8
    frames: integer sums (64 bits for clips so long that 32 could overflow), rounded once to float32
    (above 2^24). So results are bit-identical for all devices, numbers of threads and forms of the
    same clips. Everything else accumulates in float32 (float64 for float64 frames), in blocks of
    frames, with an absolute error of at most (min(n, 64) + n / 64 + 2) * 2^-24 * sum_t |w_t * F_t|.
    The weights of `cumulative`, `telescoped`, `authors` and `rank-simple` sum to 0, so floating
    frames are summed as deviations F_t - F_1, which replace F_t in the bound: a pixel at rest gives
    exactly 0. (A pixel that is infinite in the first frame is NaN under the latter two.)

    Args:
        frames: one clip [T, ...]; packed clips [sum T, ...] with `offsets`; a list of clips
            [T_i, ...] with frames of one shape; or a nested tensor of such clips. uint8 (0..255) or
            floating, 2 dimensions or more, pixels and channels in any order. Views of larger
            frames, such as a crop, are read in place. One clip looks like a batch of clips if its
            frames have more than three dimensions, or three of which none is 4 or less, as channels
            would be. It is summed, with a warning: a batch must be a list of clips.
        offsets: int64 [B + 1], from 0, increasing, to sum T; clip b is
            frames[offsets[b]:offsets[b + 1]].
        method: one of `METHODS`.
        normalize: one of `NORMALIZATIONS`: "none"; "clip" saturates to 0..255; "minmax" maps each
            image linearly to 0..255.

    Returns:
        [...] for one clip, otherwise [B, ...]; float64 for float64 frames, otherwise float32.
        Differentiable for floating frames.

    Raises:
        TypeError: frames or offsets have a wrong type or dtype.
        ValueError: an unknown method or normalisation, an empty clip, a wrong shape or offsets
            that do not divide up all frames.

    Reference: Verma et al., arXiv:2005.07991, Eqs. (1)-(3); Bilen et al., "Action Recognition with
    Dynamic Image Networks", for `rank`.
    """
    if has_torch_function(tensors := tensors_of(frames, offsets)):
        return handle_torch_function(
            active_image, tensors, frames, offsets, method=method, normalize=normalize
        )
    check_method("active_image", method, normalize)
    sources, bounds = unpack_clips("active_image", frames, offsets)
    clips, *terms = map(torch.from_numpy, _plan(method, tuple(bounds)))
    if method in MOTION_METHODS:
        images = pool_motion(sources, clips, bounds[-1], method == "rectified", normalize)
    else:
        index, weights = terms
        if weights.is_floating_point() and sources[0].device.type != "cpu":
            lengths = tuple(sorted({end - start for start, end in pairwise(bounds)}))
            weights = put_weights(method, lengths, weights, sources[0])
        total = sum(len(weight_terms(method, end - start)[0]) for start, end in pairwise(bounds))
        images = pool_terms(sources, clips, index, weights, total, normalize)
    return images[0] if is_single(frames, offsets) else images


@cached(maxsize=256)
def _plan(method: str, bounds: tuple[int, ...]) -> tuple[np.ndarray, ...]:
    """The arguments clips (and index and weights) of a pool over consecutive clips.

    Arrays, because cached tensors would stay in the mode in which they were made. Their sizes are
    Python integers, so that the function can be traced.
    """
    spans = [(start, end - start) for start, end in pairwise(bounds)]
    if method in MOTION_METHODS:
        return (np.array(spans),)
    # Clips of one length share their terms.
    terms = {length: weight_terms(method, length) for length in sorted({n for _, n in spans})}
    ends = dict(zip(terms, accumulate(len(index) for index, _ in terms.values()), strict=True))
    clips = [(start, ends[n] - len(terms[n][0]), ends[n]) for start, n in spans]
    index, weights = (np.concatenate(parts) for parts in zip(*terms.values(), strict=True))
    return np.array(clips), index, weights
