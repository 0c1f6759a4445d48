"""OrigiNet: the whole network in one file, in the order in which an image passes through it.

References:
1. Verma, Vipparthi, Singh, "Non-Linearities Improve OrigiNet based on Active Imaging for Micro
   Expression Recognition", IJCNN 2020, arXiv:2005.07991: Eqs. (5)-(11), Tables V and VI.
2. The program that the authors released with it. The variant "authors" has its wiring, batch
   normalisation and padding. It differs from the paper in the fourth stage.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from originet.system.errors import InputError
from originet.training.config import VARIANTS
from originet_ext import (
    FusedRReLU,
    can_hybrid_conv,
    fused_rrelu_add,
    fused_rrelu_add_norm,
    hybrid_conv,
)

WIDTHS = (16, 32, 64, 96)  # Eq. (8), d(k) = 2^(3+k), for stages 1-3; Eq. (6) for the fourth
FC_WIDTH = 128  # Eq. (5)


class SameConv2d(nn.Conv2d):
    """Convolution with TensorFlow's padding "same": the odd pixel goes to the bottom and right."""

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Maps [N, C, H, W] to [N, D, ceil(H / stride), ceil(W / stride)]."""
        bottom_right = []
        for size, kernel, stride in zip(x.shape[-2:], self.kernel_size, self.stride, strict=True):
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            bottom_right.append((total // 2, total - total // 2))
        (top, bottom), (left, right) = bottom_right
        return super()._conv_forward(F.pad(x, (left, right, top, bottom)), weight, bias)


class PointConv2d(nn.Conv2d):
    """1 x 1 convolution that first drops the pixels that its stride skips.

    The result is the same. With a stride, oneDNN's weight gradient writes out of bounds if there
    are fewer channels than vector lanes, as in channels_last images with 3 channels
    (uxlfoundation/oneDNN issue 6035; torch 2.13 is affected).
    """

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """Maps [N, C, H, W] to [N, D, ceil(H / stride), ceil(W / stride)]."""
        down, right = self.stride
        return F.conv2d(x[:, :, ::down, ::right], weight, bias)


def _conv(in_channels: int, out_channels: int, kernel_size: int, variant: str) -> nn.Conv2d:
    """Makes a convolution of stride 2 with bias, padded according to the variant."""
    if kernel_size == 1:  # neither variant pads it
        return PointConv2d(in_channels, out_channels, 1, stride=2)
    if variant == "authors":
        return SameConv2d(in_channels, out_channels, kernel_size, stride=2)
    # Eqs. (9)-(10): output pixel l is centred on input pixel 2l - 1, counted from 1.
    return nn.Conv2d(in_channels, out_channels, kernel_size, stride=2, padding=kernel_size // 2)


def _is_repeated(x: Tensor) -> bool:
    """Returns whether the channels of [N, C, H, W] share memory, as `expand` makes them."""
    return x.shape[1] > 1 and x.stride(1) == 0


def _without_copies(x: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Reduces a convolution of one channel, repeated C times, to a convolution of that channel.

    A convolution is linear in its weights, so they can be summed over the C channels.

    Args:
        x: [N, C, H, W].
        weight: [D, C, K, K].

    Returns:
        [N, 1, H, W] and [D, 1, K, K] in channels_last; if the channels differ, both arguments
        unchanged.
    """
    if not _is_repeated(x):
        return x, weight

    def channels_last(one: Tensor) -> Tensor:  # by strides, since one channel fits every layout
        return one.contiguous().unsqueeze(-1).permute(0, 3, 1, 2)

    return channels_last(x[:, 0]), channels_last(weight.sum(1))


def shift(small: nn.Conv2d, large: nn.Conv2d, size: Sequence[int]) -> tuple[int, int] | None:
    """Returns how far `hybrid_conv` has to move both kernels, or None if it is not for them.

    Args:
        small: The convolution of 3 x 3.
        large: The convolution of 5 x 5.
        size: Height and width of the images.
    """
    if any(
        type(conv) is not type(small)
        or (conv.kernel_size, conv.stride) != ((size, size), (2, 2))
        or (conv.dilation, conv.groups, conv.padding_mode) != ((1, 1), 1, "zeros")
        for conv, size in ((small, 3), (large, 5))
    ):
        return None
    if type(small) is nn.Conv2d and (small.padding, large.padding) == ((1, 1), (2, 2)):
        return 0, 0
    if type(small) is SameConv2d:
        return 1 - size[0] % 2, 1 - size[1] % 2
    return None


class HybridBlock(nn.Module):
    """One hybrid feature block, Eq. (7): BN(act(C_small(x)) + act(C_large(x))).

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        kernel_sizes: Sizes of the small and the large kernel.
        variant: "paper" or "authors", see `OrigiNet`.
        activation: Makes the activation of both branches.
        winograd: See `OrigiNet`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_sizes: tuple[int, int],
        variant: str,
        activation: Callable[[], nn.Module],
        winograd: bool = True,
    ) -> None:
        super().__init__()
        self.winograd = winograd
        small, large = kernel_sizes
        self.conv_small = _conv(in_channels, out_channels, small, variant)
        self.conv_large = _conv(in_channels, out_channels, large, variant)
        self.act = activation()
        # The authors' program uses Keras's defaults; Keras's momentum 0.99 is torch's 0.01.
        eps, momentum = (1e-3, 0.01) if variant == "authors" else (1e-5, 0.1)
        self.norm = nn.BatchNorm2d(out_channels, eps=eps, momentum=momentum)

    def join(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to the branches' sum before the normalisation, [N, D, H/2, W/2]."""
        small, large = self.conv_small(x), self.conv_large(x)
        if type(self.act) is FusedRReLU:  # a subclass may compute something else
            return fused_rrelu_add(small, large, self.act.alpha)
        return self.act(small) + self.act(large)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to [N, D, H/2, W/2]."""
        # Exactly these types: a subclass, such as SyncBatchNorm, may compute something else.
        if type(self.act) is FusedRReLU and type(self.norm) is nn.BatchNorm2d:
            return self._fused(x, self.act.alpha, self.norm)
        return self.norm(self.join(x))

    def _branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Convolves without the biases: [N, C, H, W] to two of [N, D, H/2, W/2]."""
        images, small = _without_copies(x, self.conv_small.weight)
        _, large = _without_copies(x, self.conv_large.weight)
        moved = shift(self.conv_small, self.conv_large, x.shape[2:])
        if (
            (self.winograd and self.training and moved is not None)
            and images.is_contiguous(memory_format=torch.channels_last)  # as the results will be
            and can_hybrid_conv(images, small, large)
        ):
            return hybrid_conv(images, small, large, down=moved[0], right=moved[1])
        return (
            self.conv_small._conv_forward(images, small, None),
            self.conv_large._conv_forward(images, large, None),
        )

    def _fused(self, x: Tensor, alpha: float, norm: nn.BatchNorm2d) -> Tensor:
        """Computes everything after the convolutions, including their biases, in one op."""
        small, large = self._branches(x)
        norm._check_input_dim(small)
        # Updates the running statistics like nn.BatchNorm2d.forward; with momentum None, they are
        # the mean so far.
        momentum = norm.momentum
        tracked = norm.track_running_stats or not norm.training
        if norm.training and tracked and norm.num_batches_tracked is not None:
            norm.num_batches_tracked.add_(1)
            if momentum is None:
                momentum = 1.0 / float(norm.num_batches_tracked)
        return fused_rrelu_add_norm(
            small,
            large,
            norm.weight,
            norm.bias,
            norm.running_mean if tracked else None,
            norm.running_var if tracked else None,
            bias_a=self.conv_small.bias,
            bias_b=self.conv_large.bias,
            training=norm.training,
            momentum=0.0 if momentum is None else momentum,
            eps=norm.eps,
            alpha=alpha,
        )


class OrigiNet(nn.Module):
    """OrigiNet: four hybrid stages and the augmented learning block.

    Variant "paper" follows the equations: four equal stages, then two fully connected layers side
    by side on the same features. Variant "authors" follows the released program: the small branch
    of stage 4 reads the normalised output of stage 3, the large branch the sum *before* the
    normalisation. The two are not added; each feeds its own fully connected layer.

    As in both sources, there is no activation between the fully connected layers and the
    classifier. The softmax of Eq. (11) is part of the loss (`torch.nn.functional.cross_entropy`),
    so `forward` returns logits.

    Args:
        num_classes: Number of classes, at least 2.
        in_channels: Channels of the input; a grey active image is repeated to 3.
        image_size: Height and width S of the input in pixels, at least 16.
        variant: "paper" or "authors".
        activation: Called without arguments once per stage; both branches share the module. The
            paper's ablations "Sig" and "LR" are `nn.Sigmoid` and `nn.LeakyReLU`;
            `originet.paper.ablation` gives the latter psi's alpha as its slope. `FusedRReLU` is the
            paper's refined ReLU, not `nn.RReLU` (randomized leaky ReLU).
        kernel_sizes: The two kernel sizes of a stage, odd. Ablations "KS-1" and "KS-2" are (1, 3)
            and (5, 7).
        parallel_fc: False for ablation "LFC", one fully connected layer. In variant "paper" it
            reads the same features (1.09 million parameters). In variant "authors" it reads the
            small branch of stage 4, which is then the only branch (932,328 parameters with 8
            classes and running statistics: the "0.9M" of Table VI).
        channels_last: On the CPU, compute in the channels_last layout, where convolutions are
            faster, whatever the layout of the images. False computes in the layout of the images.
        winograd: Train the blocks' convolutions of 3 x 3 and 5 x 5 by `originet_ext.hybrid_conv`,
            where it can: on the CPU in float32. False leaves them to torch. Without `channels_last`
            they are torch's too.

    Raises:
        InputError: If an argument is outside the ranges above.

    Example:
        >>> OrigiNet(num_classes=4)(torch.zeros(2, 3, 128, 128)).shape
        torch.Size([2, 4])
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        image_size: int = 128,
        variant: str = "paper",
        activation: Callable[[], nn.Module] = FusedRReLU,
        kernel_sizes: tuple[int, int] = (3, 5),
        parallel_fc: bool = True,
        channels_last: bool = True,
        winograd: bool = True,
    ) -> None:
        super().__init__()
        kernel_sizes = _check_arguments(num_classes, in_channels, image_size, variant, kernel_sizes)
        self.in_channels = in_channels
        self.image_size = image_size
        self.variant = variant
        self.channels_last = channels_last

        def block(width_in: int, width_out: int) -> HybridBlock:
            return HybridBlock(
                width_in, width_out, kernel_sizes, variant, activation, winograd and channels_last
            )

        self.stage1 = block(in_channels, WIDTHS[0])
        self.stage2 = block(WIDTHS[0], WIDTHS[1])
        self.stage3 = block(WIDTHS[1], WIDTHS[2])
        if variant == "paper":
            self.stage4 = block(WIDTHS[2], WIDTHS[3])
        else:
            self.act4 = activation()
            self.conv4_small = _conv(WIDTHS[2], WIDTHS[3], kernel_sizes[0], variant)
            if parallel_fc:
                self.conv4_large = _conv(WIDTHS[2], WIDTHS[3], kernel_sizes[1], variant)

        side = -(-image_size // 16)  # four halvings, each rounded up
        features = WIDTHS[3] * side * side
        self.fc1 = nn.Linear(features, FC_WIDTH)
        self.fc2 = nn.Linear(features, FC_WIDTH) if parallel_fc else None
        self.classifier = nn.Linear(FC_WIDTH * (2 if parallel_fc else 1), num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Computes the logits.

        Args:
            x: Images [N, in_channels, S, S], floating point. Training in this package feeds grey
                levels standardised per image (mean 0, deviation 1).

        Returns:
            Logits [N, num_classes].

        Raises:
            InputError: If `x` has another shape.
        """
        expected = (self.in_channels, self.image_size, self.image_size)
        if x.dim() != 4 or tuple(x.shape[1:]) != expected:
            raise InputError(f"x must be [N, {', '.join(map(str, expected))}], got {list(x.shape)}")
        if self.channels_last and x.device.type == "cpu" and not _is_repeated(x):
            x = x.contiguous(memory_format=torch.channels_last)
        x = self.stage2(self.stage1(x))  # [N, 16, S/2, S/2], then [N, 32, S/4, S/4]
        if self.variant == "paper":
            x = self.stage4(self.stage3(x)).flatten(1)  # [N, 96, S/16, S/16], flat: Eq. (6)
            heads = [self.fc1(x)]  # [N, 128]
            if self.fc2 is not None:
                heads.append(self.fc2(x))
        else:
            joined = self.stage3.join(x)  # [N, 64, S/8, S/8]
            small = self.act4(self.conv4_small(self.stage3.norm(joined)))  # [N, 96, S/16, S/16]
            heads = [self.fc1(small.flatten(1))]  # [N, 128]
            if self.fc2 is not None:
                large = self.act4(self.conv4_large(joined))  # [N, 96, S/16, S/16]
                heads.append(self.fc2(large.flatten(1)))
        return self.classifier(torch.cat(heads, dim=1))  # [N, 256] to [N, num_classes]: Eq. (5)


def parameter_count(model: nn.Module, running_statistics: bool = False) -> int:
    """Counts the parameters of a network.

    Args:
        model: Any module.
        running_statistics: Also count the running means and variances of batch normalisation, as
            Keras does in its summaries.

    Returns:
        The number of scalars.
    """
    count = sum(p.numel() for p in model.parameters())
    if running_statistics:
        count += sum(b.numel() for b in model.buffers() if b.is_floating_point())
    return count


def layer_count(model: nn.Module) -> int:
    """Counts the convolutions and fully connected layers of a network, including parallel ones.

    For AlexNet and VGG this is the count of Table V. OrigiNet has 11: eight convolutions and three
    fully connected layers. The table's 10 may leave out the classifier.
    """
    return sum(isinstance(module, nn.Conv2d | nn.Linear) for module in model.modules())


def memory_mib(model: nn.Module) -> float:
    """Returns the MiB of Tables V and VI: 8 bytes per parameter (weight and optimiser slot)."""
    return parameter_count(model) * 8 / 2**20


def _check_arguments(
    num_classes: int,
    in_channels: int,
    image_size: int,
    variant: str,
    kernel_sizes: tuple[int, int],
) -> tuple[int, int]:
    """Raises InputError on a bad argument; returns the kernel sizes as a tuple."""
    if num_classes < 2:
        raise InputError(f"num_classes must be at least 2, got {num_classes}")
    if in_channels < 1:
        raise InputError(f"in_channels must be at least 1, got {in_channels}")
    if image_size < 16:
        raise InputError(f"image_size must be at least 16, got {image_size}")
    if variant not in VARIANTS:
        raise InputError(f"variant must be one of {', '.join(VARIANTS)}, got {variant!r}")
    sizes = tuple(kernel_sizes)
    if len(sizes) != 2 or any(not isinstance(k, int) or k < 1 or k % 2 == 0 for k in sizes):
        raise InputError(f"kernel_sizes must be two odd positive integers, got {list(sizes)}")
    return sizes[0], sizes[1]
