"""The Dual-Inception network: one pair of inception blocks for each component of the optical flow.

Reference: Zhou, Mao, Xue, "Dual-Inception Network for Cross-Database Micro-Expression Recognition",
FG 2019, and the program that the authors released with it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 28
_WIDTHS = (6, 16)  # of each branch of the two blocks
_FC_WIDTH = 1024


class DualInception(nn.Module):
    """Two streams of two inception blocks each, on u and on v.

    6,449,867 parameters with 3 classes: 11,620 in each stream, 6,423,552 and 3,075 in the fully
    connected layers. Differs from the authors' program: it gives each stream a picture of the
    component in three equal channels, which a convolution of one channel equals.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        first, second = _WIDTHS
        self.streams = nn.ModuleList(
            nn.Sequential(_Inception(1, first), _Inception(4 * first, second)) for _ in range(2)
        )
        self.fc = nn.Linear(2 * 4 * second * 7 * 7, _FC_WIDTH)
        self.classifier = nn.Linear(_FC_WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, 2 or more, 28, 28], of which it reads u and v, to logits [N, classes]."""
        components = x[:, :2].split(1, dim=1)
        streams = [s(c).flatten(1) for s, c in zip(self.streams, components, strict=True)]
        joined = torch.cat(streams, dim=1)  # [N, 6272]
        logits: Tensor = self.classifier(F.relu(self.fc(joined)))
        return logits


class _Inception(nn.Module):
    """Four branches of equal width, concatenated and pooled: [N, C, H, W] to [N, 4 D, H/2, W/2]."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()

        def conv(channels: int, kernel_size: int) -> list[nn.Module]:
            made = nn.Conv2d(channels, width, kernel_size, padding=kernel_size // 2)
            return [made, nn.ReLU()]

        self.branches = nn.ModuleList(
            nn.Sequential(*layers)
            for layers in (
                conv(in_channels, 1),
                [*conv(in_channels, 1), *conv(width, 3)],
                [*conv(in_channels, 1), *conv(width, 5)],
                [nn.MaxPool2d(3, stride=1, padding=1), *conv(in_channels, 1)],
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        return F.max_pool2d(torch.cat([branch(x) for branch in self.branches], dim=1), 2)
