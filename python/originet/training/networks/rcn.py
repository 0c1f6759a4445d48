"""RCN-A: a recurrent convolutional network with an attention unit that has no parameters.

Reference: Xia, Peng, Khor, Feng, Zhao, "Revealing the Invisible with Model and Data Shrinking for
Composite-database Micro-expression Recognition", IEEE Transactions on Image Processing 29, 2020,
arXiv:2006.09674, and the program that the authors released with it, whose defaults these are: 64
maps, one recurrent layer, maps pooled to 7 x 7.
"""

import torch
from torch import Tensor, nn

_WIDTH = 64
_POOLED = 7  # pixels a side


class RCNA(nn.Module):
    """RCN-A on 3 channels: horizontal flow, vertical flow and strain from onset to apex.

    55,747 parameters with 3 classes. The paper's count is not known to us.

    Differs from the authors' program: a map of the attention that is equal everywhere becomes 0,
    where theirs divides by 0.

    Args:
        in_channels: Channels of the images.
        classes: Number of classes.
    """

    def __init__(self, in_channels: int, classes: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            _conv(in_channels, 5, padding=0), nn.MaxPool2d(2), nn.Dropout(0.5)
        )
        self.forward_conv = _conv(_WIDTH, 1, padding=0)
        self.recurrent_conv = _conv(_WIDTH, 3, padding=1)
        self.reduce = nn.Sequential(nn.MaxPool2d(2), nn.Dropout(0.5))
        self.pool = nn.AdaptiveAvgPool2d(_POOLED)
        self.classifier = nn.Linear(_WIDTH * _POOLED * _POOLED, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.classifier.weight, 0, 0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, in_channels, S, S] to logits [N, classes]."""
        x = self.stem(x)  # [N, 64, (S-4)/2, (S-4)/2]
        attention = self._attention(self.pool(x))
        y = self.forward_conv(x)
        for _ in range(2):  # with the same weights
            y = self.recurrent_conv(x + y)
        y = self.pool(self.reduce(y)) * attention  # [N, 64, 7, 7]
        logits: Tensor = self.classifier(y.flatten(1))
        return logits

    def _attention(self, x: Tensor) -> Tensor:
        """Returns where [N, 64, 7, 7] matters to the classifier, 0..1: [N, 1, 7, 7].

        For each class, the mean over the channels of the features times the classifier's weights,
        stretched to 0..1; then the mean over the classes.
        """
        weights = self.classifier.weight.unflatten(1, (_WIDTH, _POOLED, _POOLED))
        maps = torch.einsum("nchw,kchw->nkhw", x, weights) / _WIDTH
        maps = maps - maps.amin(dim=(2, 3), keepdim=True)
        maps = maps / maps.amax(dim=(2, 3), keepdim=True).clamp_min(1e-12)
        return maps.mean(dim=1, keepdim=True)


def _conv(in_channels: int, kernel_size: int, padding: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, _WIDTH, kernel_size, padding=padding),
        nn.BatchNorm2d(_WIDTH),
        nn.ReLU(),
    )
