"""The temporal weights behind the linear active-image methods."""

import numpy as np
import torch
from torch import Tensor

from originet_ext._cache import cached


def method_weights(method: str, length: int) -> Tensor:
    """Returns the weight of each frame of a clip under a linear method.

    Args:
        method: one of `METHODS` except the motion methods, "absolute" and "rectified".
        length: n, the number of frames, 1 or more. The frame of a clip of one has the weight 0.

    Returns:
        [n] on the CPU; int64 if all weights are integers, otherwise float64.

    Reference: Verma et al., arXiv:2005.07991, Eqs. (1)-(3), for "cumulative" and "telescoped",
    the two readings of Eq. (3); the authors' released program for "authors"; Bilen et al., "Action
    Recognition with Dynamic Image Networks", for "rank" and "rank-simple"; the authors' LEARNet
    program for "learnet".
    """
    index, terms = weight_terms(method, length)
    weights = np.zeros(length, dtype=terms.dtype)
    weights[index] = terms
    return torch.from_numpy(weights)


@cached(maxsize=1024)
def weight_terms(method: str, length: int) -> tuple[np.ndarray, np.ndarray]:
    """The same as terms of a sum over the frames that a method reads, for the kernels.

    Callers share the arrays and must not write to them. They are not tensors because those would
    stay in the mode in which they were made, such as inference mode.

    Args:
        method: as for `method_weights`.
        length: n, the number of frames, 1 or more.

    Returns:
        index: [K] int64, the frames in order, from 0.
        weights: [K] int64 or float64.
    """
    n = length
    if n == 1:
        return np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)
    if method == "telescoped":
        # FT(t) = F_t - F_(t-1): the sum is F_n + F_(n-1) - 2 F_1 (n = 2: F_2 - F_1).
        if n == 2:
            return np.array([0, 1]), np.array([-1, 1])
        return np.array([0, n - 2, n - 1]), np.array([-2, 1, 1])
    t = np.arange(1, n + 1)
    weights: np.ndarray
    if method == "cumulative":
        # FT(t) = F_t - F_1: 2 (F_2 + ... + F_(n-1)) + F_n - (2n - 3) F_1.
        weights = np.full(n, 2)
        weights[0], weights[-1] = 3 - 2 * n, 1
    elif method == "authors":
        m = t - 1
        weights = np.maximum(m - 1, 0) - np.maximum(n - 2 - m, 0)
    elif method == "rank-simple":
        weights = 2 * t - n - 1
    elif method == "rank":
        # All in float64, because torch.compile, which traces NumPy, divides integers in float32.
        harmonic = np.concatenate([[0.0], np.cumsum(1 / t.astype(np.float64))])  # H_0 .. H_n
        weights = 2.0 * (n - t + 1) - (n + 1) * (harmonic[n] - harmonic[t - 1])
    elif method == "learnet":
        weights = np.cumsum(((2 * t - n) / t.astype(np.float64))[::-1])[::-1].copy()
    else:
        raise ValueError(f"method_weights: {method!r} is not a linear method")
    return t - 1, weights
