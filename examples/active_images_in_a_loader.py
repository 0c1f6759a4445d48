"""
Active images in a DataLoader
=============================

Feed clips of different lengths to a network, one active image each. The loader packs the frames of
a batch into one tensor, and one call of the kernel turns that into images.
"""

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from originet_ext import active_image

# %%
# A data set of clips
# -------------------
# These clips are random; yours would come from files. All that matters is the shape: ``[T, H, W]``
# uint8, where ``T`` may differ from clip to clip.


class Clips(Dataset[tuple[Tensor, int]]):
    """Sixteen clips of 20 to 40 frames, in four classes."""

    def __len__(self) -> int:
        return 16

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        random = torch.Generator().manual_seed(index)
        length = int(torch.randint(20, 41, (), generator=random))
        clip = torch.randint(0, 256, (length, 128, 128), generator=random, dtype=torch.uint8)
        return clip, index % 4


# %%
# Pack a batch
# ------------
# Clips of different lengths do not stack, and padding would waste memory. Concatenate them and pass
# on where each one begins: ``offsets[i]`` to ``offsets[i + 1]`` are the frames of clip ``i``.


def pack(samples: list[tuple[Tensor, int]]) -> tuple[Tensor, Tensor, Tensor]:
    """Return the frames of all clips [sum T, H, W], their offsets [B + 1] and labels [B]."""
    clips, labels = zip(*samples, strict=True)
    lengths = torch.tensor([len(clip) for clip in clips])
    offsets = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    return torch.cat(clips), offsets, torch.tensor(labels)


loader = DataLoader(Clips(), batch_size=8, shuffle=True, collate_fn=pack)

# %%
# Make the images on the device
# -----------------------------
# The loader's workers only read frames. The images are made where the network is, so on a GPU the
# frames travel as bytes and one launch serves the whole batch.

device = "cuda" if torch.cuda.is_available() else "cpu"
for frames, offsets, labels in loader:
    images = active_image(frames.to(device), offsets=offsets, normalize="minmax")  # [B, 128, 128]
    inputs = images.unsqueeze(1) / 255  # [B, 1, 128, 128], what a network takes
    print(f"{len(frames)} frames of {len(labels)} clips -> {list(inputs.shape)}")
