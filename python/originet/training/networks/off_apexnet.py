"""OFF-ApexNet, in the smaller of its two public readings.

References:
1. Liong, Gan, Yau, Huang, Ken, "OFF-ApexNet on Micro-expression Recognition System",
   arXiv:1805.08699: two paths, one for each component of the optical flow.
2. https://github.com/tvaranka/meb, meb/models/me_networks.py: one path for both components.
"""

import torch.nn.functional as F
from torch import Tensor, nn

SIZE = 28
_FLOW = 2  # components of the optical flow, u and v
_WIDTHS = (6, 16)
_FC_WIDTH = 1024


class OffApexNet(nn.Module):
    """OFF-ApexNet on the flow from onset to apex, as in reference 2.

    807,909 parameters with 3 classes: 114 and 880 in the convolutions, 803,840 and 3,075 in the
    fully connected layers. This is the number that tables of the field give. Differs from the
    paper: public programs with its two paths have convolutions of 5 x 5 and a second hidden layer,
    2,664,475 parameters.

    Args:
        classes: Number of classes.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        first, second = _WIDTHS
        self.conv1 = nn.Conv2d(_FLOW, first, 3, padding=1)
        self.conv2 = nn.Conv2d(first, second, 3, padding=1)
        self.fc = nn.Linear(second * 7 * 7, _FC_WIDTH)
        self.classifier = nn.Linear(_FC_WIDTH, classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, 2 or more, 28, 28], of which it reads u and v, to logits [N, classes]."""
        x = F.max_pool2d(F.relu(self.conv1(x[:, :_FLOW])), 2)  # [N, 6, 14, 14]
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)  # [N, 16, 7, 7]
        x = F.relu(self.fc(self.dropout(x.flatten(1))))  # [N, 1024]
        logits: Tensor = self.classifier(self.dropout(x))
        return logits
