"""OrigiNet: sizes against the paper's tables, wiring against an independent composition."""

import copy
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from originet.bench import eager_rrelu
from originet.system.errors import InputError
from originet.training import model as model_module
from originet.training.model import (
    HybridBlock,
    OrigiNet,
    PointConv2d,
    SameConv2d,
    memory_mib,
    parameter_count,
)
from originet_ext import FusedRReLU, fused_rrelu, hybrid_conv


def psi(x: Tensor) -> Tensor:
    return torch.sigmoid(x) * (1 + torch.where(x >= 0, x, 0.1 * x))


@pytest.mark.parametrize(
    ("arguments", "trained", "with_statistics"),
    [
        ({"num_classes": 4}, 1_872_548, 1_872_548 + 416),
        ({"num_classes": 8, "variant": "authors"}, 1_873_384, 1_873_608),
        ({"num_classes": 8, "variant": "authors", "parallel_fc": False}, 932_104, 932_328),
        ({"num_classes": 4, "parallel_fc": False}, 1_085_476, 1_085_476 + 416),
        ({"num_classes": 4, "kernel_sizes": (1, 3)}, 1_662_500, 1_662_500 + 416),
        ({"num_classes": 4, "kernel_sizes": (5, 7)}, 2_222_628, 2_222_628 + 416),
        ({"num_classes": 4, "activation": nn.Sigmoid}, 1_872_548, 1_872_548 + 416),
    ],
)
def test_parameter_count_is_the_papers(arguments: dict, trained: int, with_statistics: int) -> None:
    model = OrigiNet(**arguments)
    assert parameter_count(model) == trained
    assert parameter_count(model, running_statistics=True) == with_statistics


def test_memory_is_that_of_table_v() -> None:
    assert memory_mib(OrigiNet(4)) == pytest.approx(14.29, abs=0.005)


@pytest.mark.parametrize("variant", ["paper", "authors"])
@pytest.mark.parametrize("image_size", [16, 33, 128])
@pytest.mark.parametrize("parallel_fc", [True, False])
def test_forward_gives_logits(variant: str, image_size: int, parallel_fc: bool) -> None:
    model = OrigiNet(
        5, in_channels=1, image_size=image_size, variant=variant, parallel_fc=parallel_fc
    )
    logits = model.eval()(torch.randn(2, 1, image_size, image_size))
    assert logits.shape == (2, 5)


def test_paper_variant_is_equations_5_to_7() -> None:
    model = OrigiNet(4, image_size=32).double().eval()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    expected = x
    for stage in (model.stage1, model.stage2, model.stage3, model.stage4):
        small = F.conv2d(
            expected, stage.conv_small.weight, stage.conv_small.bias, stride=2, padding=1
        )
        large = F.conv2d(
            expected, stage.conv_large.weight, stage.conv_large.bias, stride=2, padding=2
        )
        expected = stage.norm(psi(small) + psi(large))
    flat = expected.flatten(1)
    expected = model.classifier(torch.cat([model.fc1(flat), model.fc2(flat)], dim=1))
    torch.testing.assert_close(model(x), expected)


def test_authors_variant_splits_stage_4() -> None:
    model = OrigiNet(4, image_size=32, variant="authors").double().eval()
    x = torch.randn(2, 3, 32, 32, dtype=torch.float64)
    sums = []  # of each stage, before the normalisation

    def same(conv: nn.Conv2d, source: Tensor) -> Tensor:
        before, after = {3: (0, 1), 5: (1, 2)}[conv.kernel_size[0]]
        padded = F.pad(source, (before, after, before, after))
        return F.conv2d(padded, conv.weight, conv.bias, stride=2)

    normed = x
    for stage in (model.stage1, model.stage2, model.stage3):
        sums.append(psi(same(stage.conv_small, normed)) + psi(same(stage.conv_large, normed)))
        normed = stage.norm(sums[-1])
    small = psi(same(model.conv4_small, normed)).flatten(1)
    large = psi(same(model.conv4_large, sums[-1])).flatten(1)
    expected = model.classifier(torch.cat([model.fc1(small), model.fc2(large)], dim=1))
    torch.testing.assert_close(model(x), expected)
    assert model.stage1.norm.eps == 1e-3
    assert model.stage1.norm.momentum == 0.01


@pytest.mark.parametrize("kernel_size", [1, 3, 5, 7])
@pytest.mark.parametrize("size", [8, 9, 16, 17])
def test_same_padding_puts_the_odd_pixel_last(kernel_size: int, size: int) -> None:
    conv = SameConv2d(1, 1, kernel_size, stride=2, bias=False)
    x = torch.randn(1, 1, size, size)
    out = conv(x)
    assert out.shape[-1] == -(-size // 2)
    # TensorFlow's rule, read from the window of the first output pixel.
    before = max((out.shape[-1] - 1) * 2 + kernel_size - size, 0) // 2
    inside = kernel_size - before
    weight = conv.weight[0, 0, before:, before:]
    torch.testing.assert_close(out[0, 0, 0, 0], (x[0, 0, :inside, :inside] * weight).sum())


class Doubled(FusedRReLU):
    def forward(self, x):
        return 2 * super().forward(x)


def test_an_activation_derived_from_psi_is_called():
    torch.manual_seed(0)
    block = OrigiNet(4, image_size=32, activation=Doubled).stage1.eval()
    x = torch.randn(2, 3, 32, 32)
    want = 2 * fused_rrelu(block.conv_small(x)) + 2 * fused_rrelu(block.conv_large(x))
    torch.testing.assert_close(block.join(x), want)
    torch.testing.assert_close(block(x), block.norm(want))


@pytest.mark.parametrize("activation", [nn.Sigmoid, nn.LeakyReLU, FusedRReLU])
def test_block_joins_both_branches(activation: type[nn.Module]) -> None:
    block = OrigiNet(4, image_size=32, activation=activation).stage1
    x = torch.randn(2, 3, 32, 32)
    act = activation()
    expected = act(block.conv_small(x)) + act(block.conv_large(x))
    torch.testing.assert_close(block.join(x), expected)


def test_join_uses_the_modules_alpha() -> None:
    block = OrigiNet(4, image_size=32, activation=lambda: FusedRReLU(alpha=0.5)).stage1
    x = torch.randn(2, 3, 32, 32)
    expected = fused_rrelu(block.conv_small(x), 0.5) + fused_rrelu(block.conv_large(x), 0.5)
    torch.testing.assert_close(block.join(x), expected)


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_gradients_reach_every_parameter(variant: str) -> None:
    model = OrigiNet(3, image_size=32, variant=variant)
    F.cross_entropy(model(torch.randn(4, 3, 32, 32)), torch.tensor([0, 1, 2, 0])).backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def unfused(block: HybridBlock, x: Tensor) -> Tensor:
    return block.norm(block.join(x))


@pytest.mark.parametrize("variant", ["paper", "authors"])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_fused_block_equals_its_parts(
    variant: str, layout: torch.memory_format, training: bool, momentum: float | None
) -> None:
    block = OrigiNet(4, image_size=32, variant=variant).double().stage2
    block = block.to(memory_format=layout).train(training)
    block.norm.momentum = momentum
    parts = copy.deepcopy(block)
    for _ in range(2):  # twice, so that the running statistics have a past
        x = torch.randn(3, 16, 17, 17, dtype=torch.float64).to(memory_format=layout)
        inputs = [x.clone().requires_grad_(), x.clone().requires_grad_()]
        got, want = block(inputs[0]), unfused(parts, inputs[1])
        torch.testing.assert_close(got, want)
        grad = torch.randn_like(want)
        got.backward(grad)
        want.backward(grad)
        torch.testing.assert_close(inputs[0].grad, inputs[1].grad)
    wanted = dict(parts.named_parameters())
    for name, parameter in block.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad, msg=name)
    torch.testing.assert_close(block.state_dict(), parts.state_dict())
    assert block.norm.num_batches_tracked == (2 if training else 0)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["paper", "authors"])
@pytest.mark.parametrize("kernel_sizes", [(1, 3), (3, 5), (5, 7)])
@pytest.mark.parametrize("size", [16, 33])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_a_repeated_channel_is_convolved_once(
    variant: str, kernel_sizes: tuple[int, int], size: int, layout: torch.memory_format
) -> None:
    net = OrigiNet(4, image_size=size, variant=variant, kernel_sizes=kernel_sizes).double()
    net.to(memory_format=layout)
    plain = copy.deepcopy(net)
    grey = torch.randn(5, 1, size, size, dtype=torch.float64)
    ours, copied = grey.clone().requires_grad_(), grey.clone().requires_grad_()
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        got = net(ours.expand(-1, 3, -1, -1))
    assert not any(t.dim() == 4 and t.shape[1] == 3 for t in kept)
    want = plain(copied.repeat(1, 3, 1, 1))
    torch.testing.assert_close(got, want)
    got.logsumexp(1).sum().backward()
    want.logsumexp(1).sum().backward()
    torch.testing.assert_close(ours.grad, copied.grad)
    wanted = dict(plain.named_parameters())
    for name, parameter in net.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name].grad, msg=name)


@pytest.mark.parametrize("activation", [nn.Sigmoid, FusedRReLU])
def test_other_blocks_take_a_repeated_channel_as_three(activation: type[nn.Module]) -> None:
    net = OrigiNet(4, in_channels=2, image_size=16, variant="authors", activation=activation).eval()
    x = torch.randn(2, 1, 16, 16)
    torch.testing.assert_close(net(x.expand(-1, 2, -1, -1)), net(x.repeat(1, 2, 1, 1)))
    block = net.stage1
    torch.testing.assert_close(
        block.join(x.expand(-1, 2, -1, -1)), block.join(x.repeat(1, 2, 1, 1))
    )


def test_block_without_running_statistics_uses_the_batch() -> None:
    block = OrigiNet(4, image_size=32).stage1
    block.norm = nn.BatchNorm2d(16, track_running_stats=False)
    x = torch.randn(2, 3, 32, 32)
    torch.testing.assert_close(block.eval()(x), unfused(block, x))
    block.norm = nn.BatchNorm2d(16)
    block.norm.track_running_stats = False  # as some fine-tuning code does
    torch.testing.assert_close(block.train()(x), unfused(block, x))
    assert torch.equal(block.norm.running_mean, torch.zeros(16))


def test_only_plain_batch_normalisation_is_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(
        model_module, "fused_rrelu_add_norm", lambda *a, **k: calls.append(1) or a[0]
    )
    x = torch.randn(2, 3, 32, 32)
    block = OrigiNet(4, image_size=32).stage1
    block(x)
    assert len(calls) == 1
    block.norm = nn.SyncBatchNorm.convert_sync_batchnorm(block.norm).eval()
    block(x)
    OrigiNet(4, image_size=32, activation=nn.Sigmoid).stage1(x)
    assert len(calls) == 1


@pytest.mark.parametrize(
    ("kept_tensors", "compute"),
    [  # the figures of docs/design.md, "The hybrid block"
        (7, lambda block, x: block.norm(sum(map(eager_rrelu, branches(block, x))))),
        (3, unfused),
        (2, HybridBlock.__call__),
    ],
)
def test_block_keeps_two_tensors_for_backward(
    kept_tensors: int, compute: Callable[[HybridBlock, Tensor], Tensor]
) -> None:
    block = OrigiNet(4, image_size=32).stage1
    x = torch.randn(2, 3, 32, 32)
    kept: list[Tensor] = []
    with torch.autograd.graph.saved_tensors_hooks(lambda t: kept.append(t) or t, lambda t: t):
        y = compute(block, x)
    # Not the convolutions' own: their input and weights.
    storages = {t.untyped_storage().data_ptr(): t for t in kept if t.shape == y.shape}
    assert sum(t.nbytes for t in storages.values()) == kept_tensors * y.nbytes
    rest = [t for t in kept if t.shape != y.shape and t is not x]
    assert all(t.dim() == 1 or t.shape[0] == 16 for t in rest)  # [C] and weights


def branches(block: HybridBlock, x: Tensor) -> list[Tensor]:
    return [block.conv_small(x), block.conv_large(x)]


@pytest.mark.parametrize("size", [16, 17])
def test_convolution_by_one_pixel_has_the_strided_ones_results(size: int) -> None:
    ours = PointConv2d(3, 16, 1, stride=2).double()
    plain = nn.Conv2d(3, 16, 1, stride=2).double()  # sound in this layout
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(5, 3, size, size, dtype=torch.float64)
    outputs = [ours(x.contiguous(memory_format=torch.channels_last)), plain(x)]
    torch.testing.assert_close(*outputs)
    upstream = torch.randn_like(outputs[1])
    gradients = [
        torch.autograd.grad(y, [net.weight, net.bias], upstream)
        for y, net in zip(outputs, (ours, plain), strict=True)
    ]
    torch.testing.assert_close(*gradients)


@pytest.mark.parametrize("variant", ["paper", "authors"])
def test_no_convolution_by_one_pixel_is_left_to_the_strided_kernel(
    variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def conv2d(x: Tensor, weight: Tensor, bias: Tensor | None, stride: object = 1, *rest: object):
        seen.append((weight.shape[-1], stride))
        return original(x, weight, bias, stride, *rest)

    original = F.conv2d
    monkeypatch.setattr(F, "conv2d", conv2d)
    OrigiNet(4, image_size=16, variant=variant, kernel_sizes=(1, 3))(torch.randn(3, 3, 16, 16))
    assert seen.count((1, 1)) == 4 and seen.count((3, (2, 2))) == 4 and len(seen) == 8


def test_state_dict_round_trip_restores_the_output() -> None:
    first, second = OrigiNet(3, image_size=32), OrigiNet(3, image_size=32)
    x = torch.randn(4, 3, 32, 32)
    first(x)  # moves the running statistics
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.eval()(x), second.eval()(x))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_classes": 1}, "num_classes must be at least 2, got 1"),
        ({"in_channels": 0}, "in_channels must be at least 1, got 0"),
        ({"image_size": 15}, "image_size must be at least 16, got 15"),
        ({"variant": "other"}, "variant must be one of paper, authors, got 'other'"),
        ({"kernel_sizes": (3,)}, "kernel_sizes must be two odd positive integers"),
        ({"kernel_sizes": (3, 4)}, "kernel_sizes must be two odd positive integers"),
        ({"kernel_sizes": (-1, 3)}, "kernel_sizes must be two odd positive integers"),
        ({"kernel_sizes": (3.0, 5)}, "kernel_sizes must be two odd positive integers"),
    ],
)
def test_bad_arguments_are_named(arguments: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        OrigiNet(**{"num_classes": 4, **arguments})


def test_wrong_input_shape_is_named() -> None:
    with pytest.raises(InputError, match=r"x must be \[N, 3, 32, 32\], got \[1, 3, 16, 16\]"):
        OrigiNet(4, image_size=32)(torch.zeros(1, 3, 16, 16))


def winograd_calls(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The shapes of the images that `hybrid_conv` is called with from now on."""
    shapes: list[tuple[int, ...]] = []

    def counted(x: Tensor, *args: Tensor, **options: int) -> tuple[Tensor, Tensor]:
        shapes.append(tuple(x.shape))
        return hybrid_conv(x, *args, **options)

    monkeypatch.setattr(model_module, "hybrid_conv", counted)
    return shapes


@pytest.mark.parametrize(("variant", "blocks"), [("paper", 3), ("authors", 1)])
@pytest.mark.parametrize("size", [64, 61])
def test_training_by_winograd_is_training_by_torch(variant, blocks, size, monkeypatch):
    shapes = winograd_calls(monkeypatch)
    torch.manual_seed(0)
    ours = OrigiNet(4, image_size=size, variant=variant)
    plain = OrigiNet(4, image_size=size, variant=variant, winograd=False)
    plain.load_state_dict(ours.state_dict())
    x = torch.randn(32, 1, size, size).expand(-1, 3, -1, -1)
    gradients = []
    for model in (ours, plain):
        loss = F.cross_entropy(model(x), torch.arange(32) % 4)
        gradients.append(torch.autograd.grad(loss, list(model.parameters())))
    assert len(shapes) == blocks
    assert shapes[0] == (32, 16, -(-size // 2), -(-size // 2))
    names = [name for name, _ in ours.named_parameters()]
    for name, got, want in zip(names, *gradients, strict=True):
        # psi' jumps at 0, so rounding that moves an input across 0 shows.
        tolerance = 1e-3 * want.abs().max().item() + 1e-6
        torch.testing.assert_close(got, want, rtol=0, atol=tolerance, msg=lambda m, n=name: n + m)


def test_only_training_in_channels_last_is_by_winograd(monkeypatch):
    shapes = winograd_calls(monkeypatch)
    x = torch.randn(32, 3, 32, 32)
    OrigiNet(4, image_size=32).eval()(x)
    OrigiNet(4, image_size=32, channels_last=False)(x)
    OrigiNet(4, image_size=32, kernel_sizes=(5, 7))(x)
    OrigiNet(4, image_size=32).double()(x.double())
    HybridBlock(16, 32, (3, 5), "paper", FusedRReLU)(torch.randn(32, 16, 32, 32))
    assert not shapes
    OrigiNet(4, image_size=32)(x)
    # Stage 1 has too few channels, and stage 4 too few pixels.
    assert shapes == [(32, 16, 16, 16), (32, 32, 8, 8)]
