"""STSTNet: three shallow convolutions side by side.

Reference: Liong, Gan, See, Khor, Huang, "Shallow Triple Stream Three-dimensional CNN (STSTNet) for
Micro-expression Recognition", FG 2019, arXiv:1902.03634. Padding, batch normalisation and the order
of the layers are those of the authors' PyTorch program.
"""

import torch
from torch import Tensor, nn

SIZE = 28
_WIDTHS = (3, 5, 8)


class STSTNet(nn.Module):
    """STSTNet for 3 channels: horizontal flow, vertical flow and strain from onset to apex.

    1,683 parameters with 3 classes: 448 in the convolutions, 32 in the normalisations, 1,203 in the
    classifier.

    Args:
        in_channels: Channels of the images.
        classes: Number of classes.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.streams = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(in_channels, width, 3, padding=2),
                nn.ReLU(),
                nn.BatchNorm2d(width),
                nn.MaxPool2d(3, stride=3, padding=1),  # 30 to 10 pixels
                nn.Dropout(0.5),
            )
            for width in _WIDTHS
        )
        self.pool = nn.AvgPool2d(2)
        self.classifier = nn.Linear(sum(_WIDTHS) * 5 * 5, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, in_channels, 28, 28] to logits [N, classes]."""
        joined = torch.cat([stream(x) for stream in self.streams], dim=1)  # [N, 16, 10, 10]
        logits: Tensor = self.classifier(self.pool(joined).flatten(1))
        return logits
