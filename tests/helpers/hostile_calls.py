"""Calls everything native with arguments that nobody should give it, each call within limits.

A program of its own, which tests/originet_ext/test_hostile_arguments.py runs: what it looks for
would end the process. It prints each case before the call, so that the last line names the one that
did.

    python tests/helpers/hostile_calls.py DEVICE SEED CASES
"""

import ctypes
import inspect
import os
import pickle
import random
import re
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd import forward_ad

import originet_ext
from originet_ext import _sums
from originet_ext.accumulator import ActiveImageAccumulator

SECONDS = 60  # a case; they take milliseconds, and more under a sanitizer or on a busy machine
MEMORY = 2 << 30  # bytes beyond those of the imports
REFUSALS = (RuntimeError, ValueError, TypeError, NotImplementedError, IndexError)
PLACES = re.compile(r"site-packages|(^|[\s\"'(])/\w+/")  # on the machine that built or runs this
# Of messages of many lines that are torch's own: of what it could not make of the arguments, and of
# a backend that no kernel can be registered for.
OF_OTHERS = re.compile(r"Declaration:|'QuantizedMeta' backend")

INTEGERS = [0, 1, 2, 3, 4, -1, -2, 2**31 - 1, 2**31, -(2**31), 2**40, 2**62, 2**63 - 1, -(2**63)]
FLOATS = [0.1, 0.0, -0.0, 1.0, -1.0, 1e-5, 1e300, -1e300, 5e-324, np.inf, -np.inf, np.nan]
STRINGS = ["none", "clip", "minmax", "", "max", "n\0ne", "é" * 1000]
STRINGS += ["cumulative", "authors", "rank-simple", "absolute", "rectified", "rank"]
DTYPES = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.uint8, torch.int64]
OTHER_DTYPES = [torch.bool, torch.int32, torch.complex64, torch.float8_e5m2, torch.uint16]
SHAPES = [(), (0,), (3,), (2, 3), (0, 3), (3, 0), (2, 3, 4), (2, 3, 2, 2), (5, 2, 70), (4, 3, 9, 9)]


class Arguments:
    """Makes the arguments of one case, the same whenever it is made with one seed."""

    def __init__(self, seed: int, device: str) -> None:
        self.random = random.Random(seed)
        self.numbers = np.random.default_rng(seed)
        self.device = device
        self.shape = self.random.choice(SHAPES)
        self.dtype = self.random.choice(DTYPES)
        self.made: list[Tensor] = []

    def tensor(self, shape: tuple[int, ...], dtype: torch.dtype, device: str | None = None) -> Any:
        x = torch.from_numpy(self.numbers.integers(-9, 99, shape, dtype=np.int64).reshape(shape))
        return x.to(dtype).to(device or self.device)

    def table(self, *shape: int) -> Tensor:
        x = self.numbers.integers(0, 4, shape)
        for _ in range(self.random.randrange(3)):
            x.flat[self.random.randrange(x.size)] = self.random.choice(INTEGERS)
        return torch.from_numpy(x)

    def hostile_tensor(self) -> Tensor:
        makers: list[Callable[[], Tensor]] = [
            lambda: self.tensor(self.random.choice(SHAPES), self.random.choice(DTYPES)),
            lambda: self.tensor(self.shape, self.random.choice(DTYPES + OTHER_DTYPES)),
            lambda: self.tensor(self.random.choice(SHAPES), self.dtype),
            lambda: self.tensor(self.shape, self.dtype, "cpu"),
            lambda: self.tensor(self.shape, self.dtype, "meta"),
            lambda: self.table(self.random.choice([1, 2, 3]), self.random.choice([2, 3])),
            lambda: self.table(self.random.choice([1, 2, 5])),
            # As large as it gets without memory.
            lambda: self.tensor((1,), self.dtype).expand(self.random.choice([2**31, 2**62])),
            lambda: self.tensor((1, 1), self.dtype).expand(2**62, 1),
            lambda: self.tensor((1, 3), self.dtype).expand(2**40, 3),
            lambda: self.tensor((1, 0), self.dtype).expand(2**62, 0),
            lambda: self.tensor((3, 1), self.dtype).expand(3, 2**60),
            # Strides that lead nowhere, because nothing is there to be led to.
            lambda: torch.empty_strided((0, 4, 4), (2**62,) * 3, dtype=self.dtype),
            lambda: self.tensor((1,), self.dtype).as_strided((1, 1), (2**62, 2**62)),
            lambda: self.tensor((9,), self.dtype).as_strided((1, 2, 2), (2**62, 3, 1)),
            # Elements that share memory, or stand in another order.
            lambda: self.tensor((9,), self.dtype).as_strided((2, 3), (1, 1)),
            lambda: (
                self.tensor(self.shape, self.dtype).mT if len(self.shape) > 1 else self.table(1)
            ),
            lambda: self.tensor((*self.shape, 2), self.dtype)[..., 0],
            # Other kinds.
            lambda: self.tensor((2, 3), torch.float32).to_sparse(),
            lambda: self.tensor((2, 3), torch.float32).to_sparse_csr(),
            lambda: torch.quantize_per_tensor(torch.ones(2, 3), 0.1, 0, torch.quint8),
            lambda: torch.ones(2, 3).to_mkldnn(),
            lambda: torch.nested.nested_tensor([torch.ones(2, 3), torch.ones(1, 3)]),
            lambda: self.tensor(self.shape, torch.complex64).conj().imag,
            lambda: torch._efficientzerotensor(self.shape),
            self.without_memory,
            lambda: self.made[0] if self.made else self.table(1),
        ]
        return self.random.choice(makers)()

    def without_memory(self) -> Tensor:
        x = self.tensor((2, 3), self.dtype).clone()
        x.untyped_storage().resize_(self.random.choice([0, x.element_size() * 5]))
        return x

    def hostile(self, kind: str) -> Any:
        if kind == "Tensor":
            return self.hostile_tensor()
        if kind == "Optional[Tensor]":
            return self.random.choice([None, self.hostile_tensor()])
        if kind == "List[Tensor]":
            return [self.hostile_tensor() for _ in range(self.random.randrange(4))]
        if kind == "bool":
            return self.random.choice([False, True])
        values = {"int": INTEGERS, "SymInt": INTEGERS, "float": FLOATS, "str": STRINGS}
        return self.random.choice(values[kind])

    def plausible(self, kind: str) -> Any:
        """What an element-wise op would take, together with others that this gives."""
        if kind in ("Tensor", "Optional[Tensor]"):
            return self.tensor(self.shape, self.dtype)
        if kind == "List[Tensor]":
            return [self.tensor(self.shape, self.dtype)]
        plain = {"int": 1, "SymInt": 1, "float": 0.1, "str": "none", "bool": True}
        return plain[kind]

    def pool(self) -> tuple[list[Tensor], list[int]]:
        lengths = [self.random.choice([0, 1, 2, 9, 70]) for _ in range(self.random.choice([1, 2]))]
        shape = self.random.choice([(3,), (2, 70), (3, 9, 9), (0,)])
        frames = [self.tensor((t, *shape), self.dtype) for t in lengths]
        if self.random.random() < 0.2:  # the rows of a crop
            frames = [x.repeat(*[1] * (x.dim() - 1), 2)[..., : shape[-1]] for x in frames]
        return frames, lengths

    # What the ops take that are not element-wise.

    def rrelu_add_norm_forward(self) -> list[Any]:
        c = self.shape[1] if len(self.shape) > 1 else 1
        given = self.random.random() < 0.5
        vectors: list[Any] = [self.tensor((c,), self.dtype) for _ in range(6)]
        vectors[4:] = vectors[4:] if given else [None, None]
        branches = [self.tensor(self.shape, self.dtype) for _ in range(2)]
        return [*branches, *vectors, 1e-5, 0.1]

    def rrelu_add_norm_backward(self) -> list[Any]:
        c = self.shape[1] if len(self.shape) > 1 else 1
        branches = [self.tensor(self.shape, self.dtype) for _ in range(3)]
        vectors = [self.tensor((c,), self.dtype) for _ in range(5)]
        return [*branches, *vectors, self.random.random() < 0.5, 1e-5, 0.1]

    def hybrid_conv_forward(self) -> list[Any]:
        images, channels = self.random.choice([0, 1, 3]), self.random.choice([16, 32])
        height, width = (self.random.choice([1, 2, 5, 9]) for _ in range(2))
        shapes = [(images, height, width, channels), *((16, k, k, channels) for k in (3, 5))]
        tensors = [self.tensor(shape, torch.float32) for shape in shapes]
        return [*tensors, *(self.random.randrange(2) for _ in range(2))]

    def hybrid_conv_backward(self) -> list[Any]:
        args = self.hybrid_conv_forward()
        images, height, width, _ = args[0].shape
        result = (images, -(-height // 2), -(-width // 2), 16)
        grads = [self.tensor(result, torch.float32) for _ in range(2)]
        return [*grads, *args, self.random.random() < 0.5]

    def temporal_pool(self) -> list[Any]:
        frames, lengths = self.pool()
        terms = self.random.choice([0, 1, 5, 70])
        index = self.numbers.integers(0, max(1, max(lengths)), terms)
        clips = self.numbers.integers(0, [1, terms + 1, terms + 1], (self.random.choice([1, 3]), 3))
        clips.sort(1)
        weights = self.tensor((terms,), self.random.choice([torch.int64, torch.float32]), "cpu")
        if weights.dtype != torch.int64:
            weights = weights.to(self.device)
        total = int((clips[:, 2] - clips[:, 1]).sum())
        index, clips = torch.from_numpy(index), torch.from_numpy(clips)
        for x in (index, clips, weights):  # one number that is none of these
            if x.dtype == torch.int64 and x.numel() and self.random.random() < 0.1:
                x.flatten()[self.random.randrange(x.numel())] = self.random.choice(INTEGERS)
        return [frames, clips, index, weights, total, self.random.choice(STRINGS[:3])]

    def motion_pool(self) -> list[Any]:
        frames, lengths = self.pool()
        clips = torch.tensor([[0, max(1, lengths[0])]] * self.random.choice([1, 3]))
        if self.random.random() < 0.3:
            clips.flatten()[self.random.randrange(clips.numel())] = self.random.choice(INTEGERS)
        total = sum(clips[:, 1].tolist())
        total = total if abs(total) < 2**63 else 0
        return [frames, clips, total, self.random.random() < 0.5, self.random.choice(STRINGS[:3])]

    def sliding_pool(self) -> list[Any]:
        frames, lengths = self.pool()
        window = self.random.randrange(1, max(1, lengths[0]) + 1)
        stride = self.random.choice([1, 2, 5, 2**63 - 1])
        return [frames[0], window, stride, self.random.choice(STRINGS[7:12]), "none"]

    def of_op(self, name: str, kinds: list[str]) -> list[Any]:
        """A call that may work, in which some arguments are then replaced."""
        make = getattr(self, name, None)
        args = make() if make is not None else [self.plausible(kind) for kind in kinds]
        for _ in range(self.random.choice([0, 0, 1, 1, 1, 2, len(args)])):
            self.made = [x for x in args if isinstance(x, Tensor)]
            k = self.random.randrange(len(args))
            if isinstance(args[k], list) and args[k] and self.random.random() < 0.7:
                args[k][self.random.randrange(len(args[k]))] = self.hostile_tensor()
            else:
                args[k] = self.hostile(kinds[k])
        if self.random.random() < 0.4:
            args = [self.differentiated(arg) for arg in args]
        return args

    def differentiated(self, arg: Any) -> Any:
        if isinstance(arg, list):
            return [self.differentiated(x) for x in arg]
        if not isinstance(arg, Tensor) or not is_plain(arg) or not arg.is_floating_point():
            return arg
        if self.random.random() < 0.3:
            return forward_ad.make_dual(arg.detach(), torch.ones_like(arg))
        return arg.detach().requires_grad_(self.random.random() < 0.6)


def is_plain(x: Tensor) -> bool:
    """Whether torch's own ops, which derivatives are made of, are safe with a tensor, and quick."""
    return (
        (x.layout, x.is_nested, x.is_quantized) == (torch.strided, False, False)
        and x.numel() < 10**6
        and (x.is_meta or x.untyped_storage().nbytes() >= x.numel() * x.element_size())
        and not x._is_zerotensor()
    )


def tensors_of(values: Any) -> Iterator[Tensor]:
    for value in values if isinstance(values, list | tuple) else [values]:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from tensors_of(value)


def outcome(op: Any, args: list[Any]) -> Any:
    """Everything that a call gives, its derivatives too, or the message of its refusal."""
    try:
        results = list(tensors_of(op(*args)))
        given = [x for x in tensors_of(args) if x.requires_grad and x.is_leaf]
        scalars = [x.sum() for x in results if x.requires_grad]
        if given and scalars:
            gradients = torch.autograd.grad(scalars, given, allow_unused=True)
            results += [x for x in gradients if x is not None]
        results += [t for x in results if (t := forward_ad.unpack_dual(x).tangent) is not None]
    except REFUSALS as error:
        return message_of(error)
    return results


def message_of(error: Exception) -> str:
    message = str(error)
    if not OF_OTHERS.search(message):
        assert message and "\n" not in message.strip() and not PLACES.search(message), message
    return message


def bits(x: Tensor) -> Any:
    x = x.detach()
    if x.is_meta or not 0 < x.numel() <= 10**6:
        return x.dtype, x.shape, x.device
    return x.dtype, x.shape, x.double().cpu().numpy().tobytes()


def on_meta(args: list[Any]) -> list[Any]:
    def moved(x: Any) -> Any:
        return on_meta(x) if isinstance(x, list) else x.to("meta") if isinstance(x, Tensor) else x

    return [moved(arg) for arg in args]


def fill_new_memory_with(byte: int) -> None:
    """Has what is allocated begin with a value; nothing where the C library has no such way."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(-6, byte)  # M_PERTURB


def run_op(name: str, seed: int, device: str) -> None:
    op = getattr(torch.ops.originet, name).default
    kinds = [str(argument.type) for argument in op._schema.arguments]
    outcomes = []
    for byte in (0x11, 0xEE):
        with forward_ad.dual_level():
            args = Arguments(seed, device).of_op(name, kinds)
            fill_new_memory_with(byte)
            results = outcome(op, args)
            fill_new_memory_with(0)
            outcomes.append(results if isinstance(results, str) else list(map(bits, results)))
            # What is uninitialised, or depends on anything but the arguments, differs.
            assert outcomes[0] == outcomes[-1], (outcomes[0], outcomes[-1])
    if isinstance(results, str) or not all(map(is_plain, tensors_of(args))):
        return
    with torch.no_grad():
        given = list(tensors_of(op(*on_meta(args))))
    assert [(x.dtype, x.shape) for x in given] == [
        (x.dtype, x.shape) for x in results[: len(given)]
    ]
    assert all(x.is_meta for x in given)


def array(rng: random.Random, hostile: bool = True) -> Any:
    dtype = rng.choice([np.uint8, np.float32, np.float64, np.int64])
    x = np.full((rng.choice([1, 2, 3, 17]), 3, 4), rng.choice([0, 1, 255]), dtype)
    if not hostile:
        return x
    if dtype == np.int64 and rng.random() < 0.3:
        x[:] = rng.choice(INTEGERS)
    changes: list[Callable[[], Any]] = [
        lambda: x,
        lambda: x[:0],
        lambda: x[:, :0],
        lambda: x[0, 0, 0],
        lambda: x[:, ::2],
        lambda: x.T,
        lambda: np.broadcast_to(x[:1], (2**40, 3, 4)),
        lambda: np.frombuffer(bytearray(x.nbytes + 1), np.uint8)[1:].view(dtype).reshape(x.shape),
        lambda: x.astype(x.dtype.newbyteorder()),
        lambda: x.astype(object),
        lambda: np.ma.masked_array(x),
    ]
    return rng.choice(changes)()


def run_accumulate(name: str, seed: int) -> None:
    """One of the functions behind the accumulator."""
    rng = random.Random(seed)
    function = getattr(_sums, name)
    shared = array(rng)
    args: list[Any] = []
    for argument in inspect.signature(function).parameters.values():
        if argument.annotation == _sums.Array:
            args.append(rng.choice([shared, array(rng, hostile=False), array(rng)]))
        elif argument.annotation is bool:
            args.append(rng.random() < 0.5)
        else:
            args.append(rng.choice(INTEGERS + [0, 1] * 5))
    refused(function, *args)


def run_state(method: str, seed: int) -> None:
    """An accumulator whose pickled state was made by hand."""
    rng = random.Random(seed)
    images = ActiveImageAccumulator(method)
    dtype = rng.choice([np.uint8, np.float32, np.float64])
    for k in range(rng.choice([1, 2, 30])):
        images.update(np.full((3, 4), k, dtype))
    state = images.__getstate__()
    junk = [None, True, 1.5, np.nan, "rank", b"", [], (), {}, (3, 4), (2**62, 2**62), "|u1", "<f8"]
    for _ in range(rng.choice([1, 1, 2])):
        key = rng.choice([*state])
        if key in ("count", "start") and rng.random() < 0.7:
            state[key] = rng.choice([*INTEGERS, 2**53 - 1, 2**53, 190_000_000])
        elif key in ("first", "ends", "sums") and rng.random() < 0.7:
            state[key] = array(rng)
            if isinstance(images.__getstate__()[key], np.ndarray) and rng.random() < 0.5:
                state[key] = np.full_like(images.__getstate__()[key], rng.choice([0, 255]))
        elif rng.random() < 0.2:
            del state[key]
        else:
            state[key] = rng.choice(junk)
    forged = object.__new__(ActiveImageAccumulator)
    if refused(forged.__setstate__, state):
        return
    for other in (images, forged):
        both = pickle.loads(pickle.dumps(other))
        refused(both.update, np.ones((3, 4), dtype))
        refused(both.merge, forged)
        refused(both.result)


def refused(function: Callable[..., Any], *args: Any) -> bool:
    try:
        function(*args)
    except REFUSALS as error:
        message_of(error)
        return True
    return False


def main(device: str, seed: int, cases: int) -> None:
    is_sanitized = "ASAN_OPTIONS" in os.environ
    if not is_sanitized and device == "cpu":
        used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
    torch.set_num_threads(2)
    names = sorted(
        name.removeprefix("originet::")
        for name in torch._C._dispatch_get_all_op_names()
        if name.startswith("originet::")
    )
    runs: list[tuple[Callable[..., None], str, tuple[Any, ...]]] = [
        (run_op, name, (device,)) for name in names
    ]
    if device == "cpu":
        accumulate = [n for n, f in inspect.getmembers(_sums) if n.startswith("accumulate")]
        runs += [(run_accumulate, name, ()) for name in accumulate]
        runs += [(run_state, name, ()) for name in originet_ext.METHODS]
    done = 0
    for run, name, more in runs:
        for case in range(seed * cases, (seed + 1) * cases):
            print(f"{run.__name__}({name!r}, {case})", flush=True)
            signal.setitimer(signal.ITIMER_REAL, SECONDS)  # ends the process, within C++ too
            run(name, case, *more)
            done += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(f"{done} cases of {len(runs)} kinds")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
