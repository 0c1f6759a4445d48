"""LEARNet, the earlier network of OrigiNet's authors.

Reference: Verma, Vipparthi, Singh, Murala, "LEARNet: Dynamic Imaging Network for Micro Expression
Recognition", IEEE Transactions on Image Processing 29, 2019, arXiv:1904.09410, and the program that
the authors released with it. Padding and batch normalisation are the program's.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from originet.training.model import PointConv2d, SameConv2d

_WIDTHS = (16, 32, 64)
_LAST_WIDTH = 256
_FC_WIDTH = 256


class LEARNet(nn.Module):
    """Four lateral chains of convolutions, in two pairs, then one convolution on all of them.

    1,866,824 parameters with 8 classes at 112 pixels, as in the authors' program.

    Args:
        in_channels: Channels of the images.
        classes: Number of classes.
        image_size: Height and width of the images in pixels.
    """

    def __init__(self, in_channels: int, classes: int, image_size: int) -> None:
        super().__init__()
        self.stem = SameConv2d(in_channels, _WIDTHS[0], 3, stride=2)
        self.pairs = nn.ModuleList(_Pair() for _ in range(2))
        joined = 4 * _WIDTHS[-1]
        self.norm = _norm(joined)
        self.last = SameConv2d(joined, _LAST_WIDTH, 3, stride=2)
        side = -(-image_size // 32)  # five halvings, each rounded up
        self.fc = nn.Linear(_LAST_WIDTH * side * side, _FC_WIDTH)
        self.dropout = nn.Dropout(0.5)
        self.classifier = nn.Linear(_FC_WIDTH, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, in_channels, S, S] to logits [N, classes]."""
        x = F.relu(self.stem(x))  # [N, 16, S/2, S/2]
        x = torch.cat([pair(x) for pair in self.pairs], dim=1)  # [N, 256, S/16, S/16]
        x = F.relu(self.last(self.norm(x))).flatten(1)  # [N, 256, S/32, S/32], flat
        logits: Tensor = self.classifier(self.dropout(F.relu(self.fc(x))))
        return logits


class _Pair(nn.Module):
    """A chain of three convolutions, and one that adds up with it: the accretion layers."""

    def __init__(self) -> None:
        super().__init__()
        first, second, third = _WIDTHS

        def chain() -> nn.ModuleList:
            return nn.ModuleList(
                [
                    PointConv2d(first, first, 1, stride=2),
                    SameConv2d(first, second, 3, stride=2),
                    SameConv2d(second, third, 5, stride=2),
                ]
            )

        self.plain, self.accreting = chain(), chain()
        self.norms = nn.ModuleList([_norm(first), _norm(second)])

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, 16, H, W] to both chains' features, [N, 128, H/8, W/8]."""
        plain = accreted = x
        for number, (one, other) in enumerate(zip(self.plain, self.accreting, strict=True)):
            plain, accreted = F.relu(one(plain)), F.relu(other(accreted))
            if number < len(self.norms):  # the last features stay apart
                accreted = self.norms[number](plain + accreted)
        return torch.cat([plain, accreted], dim=1)


def _norm(width: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(width, eps=1e-3, momentum=0.01)  # Keras's, whose momentum is 0.99
