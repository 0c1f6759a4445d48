"""The autograd kernels in Python: the same formulas as csrc/autograd, which is bound to one torch.

Used if the running torch is not the one that csrc/autograd was built with. Every op has a kernel
for the dispatch key Autograd, so that eager code, torch.func and traced code get the same
derivatives, of every order and direction. `torch.library.register_autograd` has no forward mode;
tangents would silently be zero.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._functorch.autograd_function import enable_single_level_autograd_function
from torch.autograd import forward_ad
from torch.autograd.function import _SingleLevelFunction

from originet_ext._checks import FLOATING, MOST_FRAMES, MOTION_METHODS
from originet_ext._decomposition import second_derivative
from originet_ext._library import ops
from originet_ext.reference import normalize_images
from originet_ext.sliding import RUNNING_METHODS, overlapping_clips

# Kept alive, as its registrations end with it.
_library = torch.library.Library("originet", "IMPL")

_psi = ops.rrelu_forward.default
_psi_ = ops.rrelu_forward_.default
_psi_backward = ops.rrelu_backward.default
_add = ops.rrelu_add_forward.default
_add_backward = ops.rrelu_add_backward.default
_norm = ops.rrelu_add_norm_forward.default
_norm_backward = ops.rrelu_add_norm_backward.default
_temporal = ops.temporal_pool.default
_motion = ops.motion_pool.default
_sliding = ops.sliding_pool.default


class _Function(_SingleLevelFunction):
    """A torch.autograd.Function would call torch.func first. Here, that has already run."""

    # What compiled autograd tells Functions apart by.
    _compiled_autograd_key = staticmethod(torch.autograd.Function._compiled_autograd_key)


def _unpack(x: Tensor | None) -> tuple[Any, Tensor | None]:
    """The two parts of a dual number: its value, and its tangent if it has one."""
    if x is None or not x.is_floating_point():
        return x, None
    primal, tangent = torch._VF._unpack_dual(x, level=0)
    return (x, None) if tangent is None else (primal, tangent)


def _is_differentiated(*args: Any) -> bool:
    tensors = [x for x in args if isinstance(x, Tensor)]
    requires_grad = torch.is_grad_enabled() and any(x.requires_grad for x in tensors)
    return requires_grad or _has_tangent(*tensors)


def _has_tangent(*args: Any) -> bool:
    return any(isinstance(x, Tensor) and _unpack(x)[1] is not None for x in args)


def _sum(*parts: Tensor | None) -> Tensor:
    """The sum of the parts that are not None, at least one."""
    there = [part for part in parts if part is not None]
    return sum(there[1:], there[0])


def _below(op: Any, keys: Any, *args: Any) -> Any:
    """Calls the kernel below autograd."""
    with torch._C._AutoDispatchBelowAutograd():
        return op.redispatch(keys & torch._C._after_autograd_keyset, *args)


def _forward(op: Any, arrange: Callable[..., Any] = lambda *args: args) -> Any:
    """Makes the `forward` of a Function; `arrange` turns its arguments into those of the op.

    Functions turn derivatives off. The outer levels of torch.func, which run below this one, need
    them, so `forward` turns them on again.
    """

    def forward(keys: Any, *args: Any) -> Any:
        with torch.enable_grad(), forward_ad._set_fwd_grad_enabled(True):
            return _below(op, keys, *arrange(*args))

    return staticmethod(forward)


def _run(function: Any, keys: Any, *args: Any) -> Any:
    """Runs an op, and records it for autograd if a derivative may be needed."""
    if not _is_differentiated(*args):
        return _below(function.op, keys, *args)
    with enable_single_level_autograd_function():
        return function.apply(keys, *args)


def _tangent_rule(rule: Callable[..., Tensor]) -> Any:
    """Makes a function of (ctx, saved tensors, tangents or None) the `jvp` of a Function.

    Functions run `jvp` with forward mode off, but tangents of tangents (`jacfwd` of `jacfwd`) need
    it. The saved tensors still have the tangents in question, which are removed.
    """

    def jvp(ctx: Any, *tangents: Tensor | None) -> Tensor:
        with forward_ad._set_fwd_grad_enabled(True):
            return rule(ctx, [_unpack(x)[0] for x in ctx.saved_tensors], *tangents[1:])

    return staticmethod(jvp)


def _keep(ctx: Any, *tensors: Tensor) -> None:
    ctx.set_materialize_grads(False)
    ctx.save_for_backward(*tensors)
    ctx.save_for_forward(*tensors)


# psi


class _Psi(_Function):
    op = _psi
    forward = _forward(_psi)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, x, ctx.alpha = inputs
        _keep(ctx, x)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[None, Tensor | None, None]:
        (x,) = ctx.saved_tensors
        return None, None if grad is None else _psi_backward(grad, x, ctx.alpha), None

    @_tangent_rule
    def jvp(ctx: Any, saved: Any, x_tangent: Tensor, _: None) -> Tensor:
        return _psi_backward(x_tangent, *saved, ctx.alpha)


class _PsiBackward(_Function):
    op = _psi_backward
    forward = _forward(_psi_backward)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, grad, x, ctx.alpha = inputs
        _keep(ctx, grad, x)

    @_tangent_rule
    def jvp(
        ctx: Any, saved: Any, grad_tangent: Tensor | None, x_tangent: Tensor | None, _: None
    ) -> Tensor:
        grad, x = saved
        return _sum(
            None if grad_tangent is None else _psi_backward(grad_tangent, x, ctx.alpha),
            None if x_tangent is None else x_tangent * grad * second_derivative(x, ctx.alpha),
        )

    @staticmethod
    def backward(ctx: Any, v: Tensor | None) -> tuple[Tensor | None, ...]:
        grad, x = ctx.saved_tensors
        if v is None:
            return (None,) * 4
        return (
            None,
            _psi_backward(v, x, ctx.alpha) if ctx.needs_input_grad[1] else None,
            v * grad * second_derivative(x, ctx.alpha) if ctx.needs_input_grad[2] else None,
            None,
        )


class _Add(_Function):
    op = _add
    forward = _forward(_add)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, a, b, ctx.alpha = inputs
        _keep(ctx, a, b)

    @_tangent_rule
    def jvp(
        ctx: Any, saved: Any, a_tangent: Tensor | None, b_tangent: Tensor | None, _: None
    ) -> Tensor:
        pairs = zip((a_tangent, b_tangent), saved, strict=True)
        return _sum(*(None if t is None else _psi_backward(t, x, ctx.alpha) for t, x in pairs))

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        if grad is None:
            return (None,) * 4
        if all(ctx.needs_input_grad[1:3]):
            return None, *_add_backward(grad, a, b, ctx.alpha), None
        return (
            None,
            _psi_backward(grad, a, ctx.alpha) if ctx.needs_input_grad[1] else None,
            _psi_backward(grad, b, ctx.alpha) if ctx.needs_input_grad[2] else None,
            None,
        )


def _psi_kernel(keys: Any, x: Tensor, alpha: float) -> Tensor:
    return _run(_Psi, keys, x, alpha)


def _psi_in_place_kernel(keys: Any, x: Tensor, alpha: float) -> Tensor:
    if _is_differentiated(x):
        return x.copy_(_psi(x.clone(), alpha))
    return _below(_psi_, keys, x, alpha)


def _count_change(keys: Any, x: Tensor, alpha: float) -> Tensor:
    """Counts the change of x, so that autograd notices it where x was saved for backward."""
    if x.is_inference() and not torch.is_inference_mode_enabled():
        raise RuntimeError(
            "rrelu_forward_: x was made in inference mode and may only be changed in place there; "
            "clone it"
        )
    with torch._C._AutoDispatchBelowADInplaceOrView():
        _psi_.redispatch(keys & torch._C._after_ADInplaceOrView_keyset, x, alpha)
    torch.autograd.graph.increment_version(x)
    return x


def _psi_backward_kernel(keys: Any, grad: Tensor, x: Tensor, alpha: float) -> Tensor:
    return _run(_PsiBackward, keys, grad, x, alpha)


def _add_kernel(keys: Any, a: Tensor, b: Tensor, alpha: float) -> Tensor:
    return _run(_Add, keys, a, b, alpha)


def _add_backward_kernel(
    keys: Any, grad: Tensor, a: Tensor, b: Tensor, alpha: float
) -> tuple[Tensor, Tensor]:
    if _is_differentiated(grad, a, b):
        return _psi_backward(grad, a, alpha), _psi_backward(grad, b, alpha)
    return _below(_add_backward, keys, grad, a, b, alpha)


# The normalised join


def _check_join(
    op: str, a: Tensor, alike: Sequence[Tensor], vectors: Sequence[Tensor | None]
) -> None:
    """The checks of the kernel itself, for arguments that torch's ops would accept or broadcast."""
    if a.dtype not in FLOATING:
        raise RuntimeError(f"{op}: a must be float16, bfloat16, float32 or float64, got {a.dtype}")
    if a.dim() < 2:
        raise RuntimeError(f"{op}: a must be [N, C, ...], got {list(a.shape)}")
    for x in alike:
        if x.shape != a.shape:
            raise RuntimeError(
                f"{op}: all branches must have the shape of a, {list(a.shape)}, got {list(x.shape)}"
            )
        if x.dtype != a.dtype:
            raise RuntimeError(
                f"{op}: all branches must have the dtype of a, {a.dtype}, got {x.dtype}"
            )
    sum_dtype = torch.float64 if a.dtype == torch.float64 else torch.float32
    for vector in vectors:
        if vector is not None and vector.shape != a.shape[1:2]:
            raise RuntimeError(
                f"{op}: every vector must be [{a.shape[1]}], one value per channel of a, "
                f"got {list(vector.shape)}"
            )
        if vector is not None and vector.dtype not in (a.dtype, sum_dtype):
            raise RuntimeError(
                f"{op}: every vector must have the dtype of a, {a.dtype}, or {sum_dtype}, "
                f"got {vector.dtype}"
            )


class _Join:
    """The join and its derivative in psi's ops and torch's own, differentiable in every direction.

    [C] vectors are broadcast over [N, C, ...].
    """

    def __init__(
        self, a: Tensor, b: Tensor, bias_a: Tensor | None, bias_b: Tensor | None, alpha: float
    ) -> None:
        self.alpha = alpha
        self.dtype = torch.float64 if a.dtype == torch.float64 else torch.float32
        self.shape = (1, -1, *[1] * (a.dim() - 2))
        self.others = [d for d in range(a.dim()) if d != 1]
        self.a, self.b = self._shifted(a, bias_a), self._shifted(b, bias_b)
        self.z = _add(self.a, self.b, alpha)

    def _shifted(self, x: Tensor, bias: Tensor | None) -> Tensor:
        return x.to(self.dtype) if bias is None else x.to(self.dtype) + self.column(bias)

    def column(self, x: Tensor) -> Tensor:
        """[C] in the arithmetic dtype, as [1, C, 1, ...]."""
        return x.to(self.dtype).reshape(self.shape)

    def statistics(self, eps: float) -> tuple[Tensor, Tensor]:
        """The batch's mean and 1 / sqrt(var + eps), [C] each."""
        var, mean = torch.var_mean(self.z, self.others, correction=0)
        return mean, torch.rsqrt(var + eps)

    def normalised(self, mean: Tensor, rstd: Tensor) -> Tensor:
        return (self.z - self.column(mean)) * self.column(rstd)


class _Norm(_Function):
    op = _norm
    forward = _forward(_norm)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        _, a, b, bias_a, bias_b, weight, bias, given_mean, _, ctx.eps, ctx.alpha = inputs
        _, mean, rstd, var = output
        ctx.mark_non_differentiable(mean, rstd, var)
        ctx.set_materialize_grads(False)
        ctx.batch_statistics = given_mean is None
        ctx.dtypes = [None if x is None else x.dtype for x in (a, b, bias_a, bias_b, weight, bias)]
        ctx.save_for_backward(a, b, bias_a, bias_b, weight, mean, rstd)

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
        if grad is None:
            return (None,) * 11
        gradients = _norm_backward(
            grad, *ctx.saved_tensors, ctx.batch_statistics, ctx.eps, ctx.alpha
        )
        wanted = ctx.needs_input_grad[1:7]
        # [C] gradients have the arithmetic dtype.
        chosen = (
            x.to(dtype) if needed else None
            for x, dtype, needed in zip(gradients, ctx.dtypes, wanted, strict=True)
        )
        return None, *chosen, None, None, None, None


def _norm_kernel(keys: Any, *args: Any) -> tuple[Tensor, ...]:
    if _has_tangent(*args):
        return _differentiable_norm(*args)
    return _run(_Norm, keys, *args)


def _differentiable_norm(
    a: Tensor,
    b: Tensor,
    bias_a: Tensor | None,
    bias_b: Tensor | None,
    weight: Tensor | None,
    bias: Tensor | None,
    given_mean: Tensor | None,
    given_var: Tensor | None,
    eps: float,
    alpha: float,
) -> tuple[Tensor, ...]:
    op = "rrelu_add_norm_forward"
    if (given_mean is None) != (given_var is None):
        raise RuntimeError(f"{op}: mean and var must be given together or not at all")
    _check_join(op, a, (b,), (bias_a, bias_b, weight, bias, given_mean, given_var))
    join = _Join(a, b, bias_a, bias_b, alpha)
    if given_mean is not None and given_var is not None:
        mean, var = given_mean.to(join.dtype), given_var.to(join.dtype)
        rstd = torch.rsqrt(var + eps)
    else:
        mean, rstd = join.statistics(eps)
        var = join.z.var(join.others, correction=1)  # for the running variance
    y = join.normalised(mean, rstd)
    y = y if weight is None else y * join.column(weight)
    y = y if bias is None else y + join.column(bias)
    return y.to(a.dtype), mean.detach(), rstd.detach(), var.detach()


def _norm_backward_kernel(keys: Any, *args: Any) -> tuple[Tensor, ...]:
    if _is_differentiated(*args[:6]):
        return _differentiable_norm_backward(*args)
    return _below(_norm_backward, keys, *args)


def _differentiable_norm_backward(
    grad: Tensor,
    a: Tensor,
    b: Tensor,
    bias_a: Tensor | None,
    bias_b: Tensor | None,
    weight: Tensor | None,
    mean: Tensor,
    rstd: Tensor,
    batch_statistics: bool,
    eps: float,
    alpha: float,
) -> tuple[Tensor, ...]:
    op = "rrelu_add_norm_backward"
    _check_join(op, a, (grad, b), (bias_a, bias_b, weight, mean, rstd))
    join = _Join(a, b, bias_a, bias_b, alpha)
    if batch_statistics:  # computed again, as functions of a and b
        mean, rstd = join.statistics(eps)
    upstream = grad.to(join.dtype)
    normal = join.normalised(mean, rstd)
    weighted = upstream * normal
    through = upstream
    if batch_statistics:
        through = upstream - join.column(upstream.mean(join.others))
        through = through - normal * join.column(weighted.mean(join.others))
    through = through * join.column(rstd)
    through = through if weight is None else through * join.column(weight)
    grad_a, grad_b = (_psi_backward(through, x, alpha) for x in (join.a, join.b))
    vectors = (x.sum(join.others) for x in (grad_a, grad_b, weighted, upstream))
    return grad_a.to(a.dtype), grad_b.to(b.dtype), *vectors


# The pools. Frames seldom need a gradient, so the derivatives are made of torch's own ops.


def _rows(x: Tensor) -> Tensor:
    """[N, ...] as [N, P]. Not flatten(1), which gradcheck's batching does not support."""
    return x.reshape(len(x), math.prod(x.shape[1:]))


def _spread(starts: Tensor, counts: Tensor, total: int) -> tuple[Tensor, Tensor]:
    """For B ranges of numbers: all the numbers [total], and the range to which each belongs."""
    before = counts.cumsum(0) - counts
    # A mark where a range begins.
    marks = torch.zeros(total + 1, dtype=torch.int64, device="cpu")
    ranges = marks.index_add(0, before, torch.ones_like(before)).cumsum(0)[:total] - 1
    return torch.arange(total, device="cpu") + (starts - before)[ranges], ranges


def _joined(frames: Any) -> Tensor:
    return frames[0] if len(frames) == 1 else torch.cat(list(frames))


def _divided(gradient: Tensor, frames: Any) -> list[Tensor]:
    """Splits the gradient of all frames, concatenated as [T, P], into one for each tensor."""
    parts = gradient.split([len(x) for x in frames])
    return [part.reshape(x.shape).to(x.dtype) for part, x in zip(parts, frames, strict=True)]


def _moved(tangents: Any, frames: Any) -> list[Tensor]:
    """The tangents of all tensors, zeros for those that have none."""
    pairs = zip(tangents, frames, strict=True)
    return [torch.zeros_like(x) if tangent is None else tangent for tangent, x in pairs]


class _TemporalPool(_Function):
    forward = _forward(
        _temporal,
        lambda clips, index, weights, total, *frames: (
            (list(frames), clips, index, weights, total, "none")
        ),
    )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, *tensors, ctx.total = inputs[:5]
        _keep(ctx, *tensors, *inputs[5:])

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        clips, index, weights, *frames = ctx.saved_tensors
        if grad is None:
            return (None,) * (5 + len(frames))
        # [K]; clips may share terms
        terms, clip_of = _spread(clips[:, 1], clips[:, 2] - clips[:, 1], ctx.total)
        frame_of = (index[terms] + clips[clip_of, 0]).to(grad.device)
        terms = terms.to(weights.device)
        upstream = _rows(grad)[clip_of.to(grad.device)]  # [K, P]
        grad_frames: list[Tensor | None] = [None] * len(frames)
        grad_weights = None
        if any(ctx.needs_input_grad[5:]):
            column = weights[terms].to(grad).unsqueeze(1)
            length = sum(len(x) for x in frames)
            zeros = torch.zeros(length, upstream.shape[1], dtype=grad.dtype, device=grad.device)
            grad_frames = [*_divided(zeros.index_add(0, frame_of, column * upstream), frames)]
        if ctx.needs_input_grad[3]:
            products = (_rows(_joined(frames))[frame_of].to(grad.dtype) * upstream).sum(1)
            zeros = torch.zeros(len(weights), dtype=grad.dtype, device=grad.device)
            grad_weights = zeros.index_add(0, terms, products).to(weights.dtype)
        return None, None, None, grad_weights, None, *grad_frames

    @_tangent_rule
    def jvp(
        ctx: Any, saved: Any, _: None, __: None, w_tangent: Tensor | None, ___: None, *tangents: Any
    ) -> Tensor:
        clips, index, weights, *frames = saved
        rest = (ctx.total, "none")
        through_frames = through_weights = None
        if any(tangent is not None for tangent in tangents):
            through_frames = _temporal(_moved(tangents, frames), clips, index, weights, *rest)
        if w_tangent is not None:
            through_weights = _temporal(frames, clips, index, w_tangent, *rest)
        return _sum(through_frames, through_weights)


class _MotionPool(_Function):
    """Of |FT| or max(FT, 0). As with `abs` and `relu`, the derivative at FT = 0 is 0."""

    forward = _forward(
        _motion,
        lambda clips, total, rectify, *frames: (list(frames), clips, total, rectify, "none"),
    )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        _, clips, ctx.total, ctx.rectify, *frames = inputs
        _keep(ctx, clips, *frames)

    @staticmethod
    def steps(
        frames: Tensor, clips: Tensor, total: int, rectify: bool
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All steps of all clips: the later frame [K], the clip [K], d(out) / d(FT) [K, P]."""
        later, clip_of = _spread(clips[:, 0] + 1, clips[:, 1] - 1, total - len(clips))
        # Every difference counts twice except the last of a clip, which counts once.
        count = torch.where(later == clips.sum(1)[clip_of] - 1, 1.0, 2.0)
        later, clip_of, count = (x.to(frames.device) for x in (later, clip_of, count))
        dtype = torch.float64 if frames.dtype == torch.float64 else torch.float32
        flat = _rows(frames.detach()).to(dtype)
        change = flat[later] - flat[later - 1]
        sign = (change > 0).to(dtype) if rectify else change.sign()
        return later, clip_of, count.to(dtype).unsqueeze(1) * sign

    @staticmethod
    def backward(ctx: Any, grad: Tensor | None) -> tuple[Tensor | None, ...]:
        clips, *frames = ctx.saved_tensors
        if grad is None:
            return (None,) * (4 + len(frames))
        all_frames = _joined(frames)
        later, clip_of, slopes = _MotionPool.steps(all_frames, clips, ctx.total, ctx.rectify)
        change = slopes * _rows(grad)[clip_of]
        zeros = torch.zeros(len(all_frames), change.shape[1], dtype=grad.dtype, device=grad.device)
        gradient = zeros.index_add(0, later, change).index_add(0, later - 1, -change)
        return None, None, None, None, *_divided(gradient, frames)

    @_tangent_rule
    def jvp(ctx: Any, saved: Any, _: None, __: None, ___: None, *tangents: Any) -> Tensor:
        clips, *frames = saved
        later, clip_of, slopes = _MotionPool.steps(_joined(frames), clips, ctx.total, ctx.rectify)
        moved = _rows(_joined(_moved(tangents, frames))).to(slopes.dtype)
        change = moved[later] - moved[later - 1]
        sums = torch.zeros(len(clips), change.shape[1], dtype=slopes.dtype, device=change.device)
        total = sums.index_add(0, clip_of, slopes * change)
        return total.reshape(-1, *frames[0].shape[1:])


def _temporal_kernel(
    keys: Any,
    frames: list[Tensor],
    clips: Tensor,
    index: Tensor,
    weights: Tensor,
    total: int,
    normalize: str,
) -> Tensor:
    if not _is_differentiated(*frames, weights):
        return _below(_temporal, keys, frames, clips, index, weights, total, normalize)
    if normalize != "none":
        return normalize_images(_temporal(frames, clips, index, weights, total, "none"), normalize)
    return _run(_TemporalPool, keys, clips, index, weights, total, *frames)


def _motion_kernel(
    keys: Any, frames: list[Tensor], clips: Tensor, total: int, rectify: bool, normalize: str
) -> Tensor:
    if not _is_differentiated(*frames):
        return _below(_motion, keys, frames, clips, total, rectify, normalize)
    if normalize != "none":
        return normalize_images(_motion(frames, clips, total, rectify, "none"), normalize)
    return _run(_MotionPool, keys, clips, total, rectify, *frames)


def _check_sliding(frames: Tensor, window: int, stride: int, method: str) -> None:
    """The checks of the kernel itself, before anything is computed from these numbers."""
    op = "sliding_pool"
    if frames.dim() < 2:
        raise RuntimeError(
            f"{op}: frames must be [T, ...] with 2 dimensions or more, got {list(frames.shape)}"
        )
    for name, value in (("window", window), ("stride", stride)):
        if value < 1:
            raise RuntimeError(f"{op}: {name} must be 1 or more, got {value}")
    if window > len(frames) or window > MOST_FRAMES:
        most = min(len(frames), MOST_FRAMES)
        raise RuntimeError(f"{op}: window must be at most {most} frames, got {window}")
    if method not in RUNNING_METHODS:
        raise RuntimeError(
            f"{op}: method must be cumulative, authors, rank-simple, absolute or rectified, "
            f"got {method}"
        )


def _sliding_kernel(
    keys: Any, frames: Tensor, window: int, stride: int, method: str, normalize: str
) -> Tensor:
    """If a derivative may be needed, every window is summed as a clip of its own."""
    if not _is_differentiated(frames):
        return _below(_sliding, keys, frames, window, stride, method, normalize)
    _check_sliding(frames, window, stride, method)
    if method not in MOTION_METHODS:
        return overlapping_clips(frames, window, stride, method, normalize)
    windows = (len(frames) - window) // stride + 1
    starts = torch.arange(windows, device="cpu") * stride
    clips = torch.stack([starts, torch.full_like(starts, window)], 1)
    return _motion([frames], clips, windows * window, method == "rectified", normalize)


for _op, _kernel in {
    _psi: _psi_kernel,
    _psi_: _psi_in_place_kernel,
    _psi_backward: _psi_backward_kernel,
    _add: _add_kernel,
    _add_backward: _add_backward_kernel,
    _norm: _norm_kernel,
    _norm_backward: _norm_backward_kernel,
    _temporal: _temporal_kernel,
    _motion: _motion_kernel,
    _sliding: _sliding_kernel,
}.items():
    _library.impl(_op, _kernel, "Autograd", with_keyset=True)
_library.impl(_psi_, _count_change, "ADInplaceOrView", with_keyset=True)
