"""OrigiNet for answers on the CPU: what does not depend on the image is computed once.

- There is no activation between the fully connected layers and the classifier. The three are one
  linear map of the features, with a fiftieth of the weights. Reading all of them takes a good part
  of the time that one image needs.
- The channels of a grey image are equal, so the first convolutions are summed over them.
- The weights of the convolutions are laid out once as oneDNN wants them, not in every call.
- Batch normalisation stays in the kernel that joins the branches, where it is free. Folded into the
  next convolution it would be wrong at the border, which is padded with zeros after it.
- Blocks whose images have enough pixels are convolved by Winograd's method, as in training.

The sums are computed in float64 and rounded once.
"""

from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from originet.training.model import HybridBlock, OrigiNet, PointConv2d, SameConv2d, shift
from originet_ext import (
    FusedRReLU,
    can_hybrid_conv,
    fused_rrelu,
    fused_rrelu_add,
    hybrid_conv,
)

# Called as ops: their wrappers check arguments for as long as a small kernel runs.
_join = torch.ops.originet.rrelu_add_norm_forward.default
_convolve = torch.ops.mkldnn._convolution_pointwise.default
_pack: Any = torch._C._nn.mkldnn_reorder_conv2d_weight


class Folded:
    """A copy of an OrigiNet in evaluation mode; later changes of the network do not reach it.

    Not a module: the attributes of modules take a tenth of the time that one image needs.

    Args:
        network: A network that `can_fold` accepts.
        packed: Whether to use oneDNN's layout of weights, where torch has oneDNN. Exporters need
            False.
    """

    def __init__(self, network: OrigiNet, packed: bool = True) -> None:
        packed = packed and torch.backends.mkldnn.is_available()
        blocks = [network.stage1, network.stage2, network.stage3]
        if network.variant == "paper":
            blocks.append(network.stage4)
        self._stages = []
        side = network.image_size
        for block in blocks:
            self._stages.append(_Stage(block, side, packed, grey=block is network.stage1))
            side = -(-side // 2)
        heads = [network.fc1] if network.fc2 is None else [network.fc1, network.fc2]
        self._last: list[_Conv] = []
        if network.variant == "authors":
            self._alpha = cast(FusedRReLU, network.act4).alpha
            convs = [network.conv4_small]
            if network.fc2 is not None:
                convs.append(network.conv4_large)
            self._last = [_Conv(conv, side, packed, biased=True) for conv in convs]
        with torch.no_grad():
            parts = network.classifier.weight.double().chunk(len(heads), dim=1)
            maps = [part @ fc.weight.double() for part, fc in zip(parts, heads, strict=True)]
            bias = network.classifier.bias.double()
            for part, fc in zip(parts, heads, strict=True):
                bias = bias + part @ fc.bias.double()
            if network.variant == "paper":  # both read the same features
                maps = [torch.stack(maps).sum(0)]
            self._maps = [each.t().float() for each in maps]
            self._bias = bias.float()

    def __call__(self, x: Tensor) -> Tensor:
        """Computes the logits.

        Args:
            x: Images [N, C, S, S] float32 whose channels are equal; the first one is read.

        Returns:
            Logits [N, classes].
        """
        x = x[:, :1]
        if not self._last:
            for stage in self._stages:
                x = stage(x)
            return torch.addmm(self._bias, x.flatten(1), self._maps[0])
        first, second, third = self._stages
        joined, normed = third.both(second(first(x)))
        logits = self._bias
        # Only the small branch is normalised; ablation "LFC" has no other.
        for conv, each, weight in zip(self._last, (normed, joined), self._maps, strict=False):
            features = fused_rrelu(conv(each), self._alpha)  # [N, 96, S/16, S/16]
            logits = torch.addmm(logits, features.flatten(1), weight)
        return logits


class _Conv:
    """A convolution of stride 2; [N, C, S, S] to [N, D, S/2, S/2]."""

    def __init__(
        self,
        conv: nn.Conv2d,
        side: int,
        packed: bool,
        *,
        grey: bool = False,
        biased: bool = False,
    ) -> None:
        weight = conv.weight.detach()
        if grey:
            weight = weight.double().sum(1, keepdim=True).float()
        # channels_last by its strides, since one channel fits every layout; a copy in any case.
        weight = weight.permute(0, 2, 3, 1).clone(memory_format=torch.contiguous_format)
        weight = weight.permute(0, 3, 1, 2)
        self._border: tuple[int, int, int, int] | None = None  # left, right, top, bottom
        padding = list(cast(tuple[int, int], conv.padding))
        if isinstance(conv, SameConv2d):
            before, after = _same(side, conv.kernel_size[0])
            if before == after:
                padding = [before, after]
            else:
                self._border = before, after, before, after
                side += before + after
        self._packed = packed
        self._padding = padding
        self._bias = cast(Tensor, conv.bias).detach().clone() if biased else None
        if packed:  # for one image; other numbers have the same layout
            size = [1, weight.shape[1], side, side]
            weight = _pack(weight.to_mkldnn(), padding, [2, 2], [1, 1], 1, size)
        self._weight = weight

    def __call__(self, x: Tensor) -> Tensor:
        if self._border is not None:
            x = F.pad(x, self._border)
        if not self._packed:
            return torch.conv2d(x, self._weight, self._bias, 2, self._padding)
        return _convolve(
            x, self._weight, self._bias, self._padding, (2, 2), (1, 1), 1, "none", [], ""
        )


class _Stage:
    """A hybrid block, Eq. (7)."""

    def __init__(self, block: HybridBlock, side: int, packed: bool, *, grey: bool) -> None:
        self._small = _Conv(block.conv_small, side, packed, grey=grey)
        self._large = _Conv(block.conv_large, side, packed, grey=grey)
        self._shift = None  # no exporter knows `hybrid_conv`
        if packed and block.winograd and not grey:
            self._shift = shift(block.conv_small, block.conv_large, (side, side))
        convs = block.conv_small, block.conv_large
        layout = torch.channels_last  # else `hybrid_conv` would copy them into it in every call
        self._weights = [conv.weight.detach().clone(memory_format=layout) for conv in convs]
        norm = block.norm
        biases, scales = (block.conv_small.bias, block.conv_large.bias), (norm.weight, norm.bias)
        vectors = (*biases, *scales, norm.running_mean, norm.running_var)
        self._vectors = [cast(Tensor, x).detach().clone() for x in vectors]
        self._eps, self._alpha = norm.eps, cast(FusedRReLU, block.act).alpha

    def __call__(self, x: Tensor) -> Tensor:
        joined: Tensor = _join(*self._branches(x), *self._vectors, self._eps, self._alpha)[0]
        return joined

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the branches' sum [N, D, S/2, S/2] before and after the normalisation."""
        bias_small, bias_large, weight, bias, mean, var = self._vectors
        small, large = self._branches(x)
        small, large = small + bias_small[:, None, None], large + bias_large[:, None, None]
        joined = fused_rrelu_add(small, large, self._alpha)
        return joined, F.batch_norm(joined, mean, var, weight, bias, eps=self._eps)

    def _branches(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self._shift is not None and can_hybrid_conv(x, *self._weights):
            down, right = self._shift
            return hybrid_conv(x, *self._weights, down=down, right=right)
        return self._small(x), self._large(x)


def can_fold(network: nn.Module) -> bool:
    """Returns whether `Folded` computes what a network does.

    It has to be an OrigiNet with the refined ReLU in all places, in evaluation mode, on the CPU, in
    float32, and without hooks. Parts of another class may compute something else.
    """
    for module in network.modules():
        hooked = module._forward_hooks or module._forward_pre_hooks
        if type(module) not in _PARTS or module.training or hooked:
            return False
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is None:
            return False
    return type(network) is OrigiNet and all(
        x.is_cpu and x.dtype in (torch.float32, torch.int64) and not x.is_inference()
        for x in network.state_dict(keep_vars=True).values()
    )


class Copies:
    """Folded copies of networks: made at the first use, and again after a network was changed.

    Changes through `Tensor.data`, of which torch keeps no record, are not noticed. Several threads
    may call at the same time.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[_State, Folded | None]] = {}

    def of(self, network: nn.Module) -> Folded | None:
        """Returns the copy of a network; None if it cannot be folded."""
        now = _State(network)
        before, folded = self._known.get(id(network), (None, None))
        if before is None or before.values != now.values:
            folded = Folded(cast(OrigiNet, network)) if can_fold(network) else None
            self._known[id(network)] = now, folded
            now.hold(network)
        return folded


class _State:
    """All of a network that an answer depends on and that may change."""

    def __init__(self, network: nn.Module) -> None:
        values: list[object] = []
        for module in network.modules():
            hooked = bool(module._forward_hooks or module._forward_pre_hooks)
            values += (type(module), module.training, hooked)
            for x in (*module._parameters.values(), *module._buffers.values()):
                if x is not None:
                    values += (x.data_ptr(), 0 if x.is_inference() else x._version)
        self.values = values

    def hold(self, network: nn.Module) -> None:
        """Keeps the memory of the weights, so that no other weights get their addresses."""
        self._held = network, [x.detach() for x in network.state_dict(keep_vars=True).values()]


_PARTS = {
    *(OrigiNet, HybridBlock, FusedRReLU, nn.BatchNorm2d),
    *(nn.Conv2d, SameConv2d, PointConv2d, nn.Linear),
}


def _same(side: int, kernel: int) -> tuple[int, int]:
    """The padding before and after a side, see `SameConv2d`."""
    total = max((-(-side // 2) - 1) * 2 + kernel - side, 0)
    return total // 2, total - total // 2
