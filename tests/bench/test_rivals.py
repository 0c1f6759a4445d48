"""The rivals of the fused kernel: active images by other means."""

import numpy as np
import torch

from originet.bench import rivals


def random_clip(*shape):
    return torch.randint(0, 256, shape, dtype=torch.uint8)


def test_loops_are_the_pairs_at_least_two_frames_apart():
    clip = random_clip(5, 2, 3)
    frames = clip.double()
    pairs = [(j, k) for j in range(5) for k in range(5) if k <= j - 2]
    expected = sum(frames[j] - frames[k] for j, k in pairs)
    assert torch.equal(rivals.loops_active_image(clip).double(), expected)
    assert torch.equal(rivals.loops_active_image(clip[:1]), torch.zeros(2, 3))


def test_reading_once_sums_all_whole_words():
    clip = random_clip(3, 3, 3)  # 27 bytes: three words and three bytes
    words = clip.flatten()[:24].numpy().view(np.int64)
    assert rivals.read_once(clip).item() == words.sum()
