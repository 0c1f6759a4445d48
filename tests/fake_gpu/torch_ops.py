"""torch's own ops on the device that is not there: computed on the CPU, over the same memory.

torch's CUDA kernels cannot run, as there is no device; but the memory of the device is the host's.
So a dispatch mode, under which everything has to happen, computes each op over tensors of the CPU
that alias those of the device. It queues the work in torch's current stream, so under a capture it
is recorded. What torch does without a kernel goes its own way: allocations, views, plain copies.
"""

import ctypes
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import torch
from counts import runtime
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _pop_mode, _push_mode
from torch.utils._pytree import tree_flatten, tree_unflatten

# What torch does for a CUDA tensor without launching a kernel.
WITHOUT_KERNEL = {
    "aten::_local_scalar_dense",
    "aten::_pin_memory",
    "aten::empty",
    "aten::empty_like",
    "aten::empty_strided",
    "aten::is_pinned",
    "aten::new_empty",
    "aten::new_empty_strided",
    "aten::record_stream",
    "aten::resize_",
    "aten::set_",
}
# Views that their schema does not show to be ones.
VIEWS = {
    "aten::_reshape_alias",
    "aten::_unsafe_view",
    "aten::lift_fresh",
}
COPIES = {"aten::copy_", "aten::_to_copy"}
# torch moves indices that lie on the CPU.
INDEXING = {
    "aten::_index_put_impl_",
    "aten::_unsafe_index",
    "aten::index",
    "aten::index_put",
    "aten::index_put_",
}
# Ops for whose result the host has to wait.
WAITS = (torch.Tag.dynamic_output_shape, torch.Tag.data_dependent_output)


class TorchOps(TorchDispatchMode):
    """Under it, torch's ops on CUDA tensors can be called."""

    # Without what TorchDispatchMode notes of itself: this is a device, and code that asks whether
    # there is a mode means one that transforms.
    def __enter__(self) -> "TorchOps":
        _push_mode(self)
        return self

    def __exit__(self, *_: object) -> None:
        _pop_mode()

    def __torch_dispatch__(self, op, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        values, structure = tree_flatten((args, kwargs))
        device = next(filter(None, map(_cuda_device, values)), None)
        if device is None:
            return op(*args, **kwargs)
        name = op._schema.name
        if torch._C._dispatch_has_kernel_for_dispatch_key(op.name(), "CompositeImplicitAutograd"):
            with self:
                result = op.decompose(*args, **kwargs)
            if result is not NotImplemented:
                return result
        if op.namespace == "originet":  # the ops of torch that it calls have to come here, too
            with self:
                cuda = torch._C.DispatchKeySet(torch._C.DispatchKey.CUDA)
                return op.redispatch(cuda, *args, **kwargs)
        if name in WITHOUT_KERNEL or name in VIEWS or op.is_view:
            return op(*args, **kwargs)
        if name in COPIES and (copied := self._copy(name, *args, **kwargs)) is not None:
            return copied
        values = [self._on_device(name, value, device) for value in values]
        with torch.cuda.device(device):
            if _waits(op, values):
                torch.cuda.current_stream().synchronize()
            return _Call(op, values, structure, device).queue()

    def _copy(self, name: str, *args, **kwargs) -> Tensor | None:
        """Copies between two devices, in the steps of torch's copy_kernel_cuda.

        Returns:
            The result, or None if the copy is one within a device.
        """
        if name == "aten::copy_":
            target, source, *rest = args
            non_blocking = rest[0] if rest else kwargs.get("non_blocking", False)
        else:
            (source,) = args
            non_blocking = kwargs.get("non_blocking", False)
            device = torch.empty(0, device=kwargs.get("device") or source.device).device
            if device == source.device:
                return None
            target = torch.empty_like(
                source,
                dtype=kwargs.get("dtype"),
                device=device,
                memory_format=kwargs.get("memory_format") or torch.preserve_format,
            )
        if target.device == source.device:
            return None
        copy = torch.ops.aten.copy_.default
        if source.dtype == target.dtype and _same_layout(source, target):
            return copy(target, source, non_blocking)
        # What differs in more than its place is converted and put in order on the CPU or, on its
        # way to the CPU, put in order on the device and converted later.
        with self:
            plain = source.to(target.dtype) if target.is_cuda else source
            plain = plain.expand_as(target).contiguous()
        if target.dtype == plain.dtype and target.is_contiguous():
            return copy(target, plain, non_blocking)
        between = torch.empty(target.shape, dtype=plain.dtype, device=target.device)
        copy(between, plain, non_blocking)
        with self:
            return target.copy_(between)

    def _on_device(self, name: str, value: object, device: torch.device) -> object:
        """Moves or refuses tensors that lie elsewhere, as torch does; numbers of the CPU may."""
        if not isinstance(value, Tensor) or value.device == device:
            return value
        if value.is_cpu and value.dim() == 0:
            return value
        if value.is_cpu and name in INDEXING:
            with self:
                return value.to(device)
        raise RuntimeError(
            "Expected all tensors to be on the same device, but found at least two devices, "
            f"{device} and {value.device}, for {name}"
        )


def _cuda_device(value: object) -> torch.device | None:
    device = value.device if isinstance(value, Tensor) else value
    if isinstance(device, torch.device) and device.type == "cuda":
        return device
    return None


def _waits(op: Any, values: Sequence[object]) -> bool:
    """Whether torch waits for the device, to learn what or how large the result is."""
    if op._schema.name in INDEXING:
        masks = (torch.bool, torch.uint8)
        return any(isinstance(x, Tensor) and x.dtype in masks for x in values[1:])
    return any(tag in op.tags for tag in WAITS)


def _same_layout(a: Tensor, b: Tensor) -> bool:
    """Whether a copy is one of consecutive bytes."""
    if a.shape != b.shape:
        return False
    strides = [
        [step for step, size in zip(x.stride(), x.shape, strict=True) if size > 1] for x in (a, b)
    ]
    dense = torch.ops.aten.is_non_overlapping_and_dense(a)
    return strides[0] == strides[1] and dense


class _Address:
    """Where a tensor of the device lies. Like the arguments of a kernel, it keeps nothing alive."""

    def __init__(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        self._memory = storage.data_ptr(), storage.nbytes()
        self._place = tensor.storage_offset(), tensor.shape, tensor.stride()
        self._dtype = tensor.dtype

    def alias(self) -> Tensor:
        """A tensor of the CPU over the same memory."""
        address, size = self._memory
        offset, shape, stride = self._place
        if size == 0:
            return torch.empty_strided(shape, stride, dtype=self._dtype)
        buffer = (ctypes.c_char * size).from_address(address)
        storage = torch.frombuffer(buffer, dtype=torch.uint8).untyped_storage()
        return torch.empty(0, dtype=self._dtype).set_(storage, offset, shape, stride)

    def zeros(self) -> Tensor:
        """A tensor of the CPU of the same shape. Zeros are valid indices too."""
        _, shape, stride = self._place
        return torch.empty_strided(shape, stride, dtype=self._dtype).zero_()


def _to_cpu(value: object) -> object:
    if isinstance(value, torch.device):
        return torch.device("cpu")
    if isinstance(value, torch.Generator):  # random numbers are those of the CPU
        return None
    return value


class _Call:
    """An op with arguments, of which the tensors are known by their addresses."""

    def __init__(
        self, op: Any, values: Sequence[object], structure: Any, device: torch.device
    ) -> None:
        self._op, self._structure, self._device = op, structure, device
        self._given: Sequence[object] = values
        self._values = [
            _Address(value) if isinstance(value, Tensor) and value.is_cuda else _to_cpu(value)
            for value in values
        ]

    def queue(self) -> object:
        """Computes the results or, under a capture, records that they are to be computed."""
        outcome: list[tuple[object, list[object]]] = []
        if torch.cuda.is_current_stream_capturing():
            outcome.append(self._run(_Address.zeros))  # for the shapes
            results, addresses = self._place(*outcome[0])
            self._given = ()  # a graph keeps no tensors
            _enqueue(lambda: _write(addresses, self._run(_Address.alias)[0]))
        else:
            _enqueue(lambda: outcome.append(self._run(_Address.alias)))
            results, addresses = self._place(*outcome[0])
            _write(addresses, outcome[0][0])
        return results

    def _run(self, tensor: Callable[[_Address], Tensor]) -> tuple[object, list[object]]:
        """Calls the op on tensors of the CPU; returns its result and those tensors."""
        values = [tensor(value) if isinstance(value, _Address) else value for value in self._values]
        args, kwargs = tree_unflatten(values, self._structure)
        with torch.no_grad():
            return self._op(*args, **kwargs), values

    def _place(self, result: object, values: list[object]) -> tuple[object, list[_Address | None]]:
        """Makes tensors of the device for the results; returns them, and where to write to.

        For a result that is an argument of the op, there is nothing to write.
        """
        made, structure = tree_flatten(result)
        addresses: list[_Address | None] = [None] * len(made)
        for i, tensor in enumerate(made):
            if not isinstance(tensor, Tensor):
                continue
            same = [given for given, x in zip(self._given, values, strict=True) if x is tensor]
            made[i] = same[0] if same else _empty_like(tensor, self._device)
            if not same:
                addresses[i] = _Address(made[i])
        return tree_unflatten(made, structure), addresses


def _empty_like(tensor: Tensor, device: torch.device) -> Tensor:
    return torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)


def _write(addresses: list[_Address | None], result: object) -> None:
    for address, tensor in zip(addresses, tree_flatten(result)[0], strict=True):
        if address is not None:
            address.alias().copy_(tensor)


_numbers = itertools.count()
_work: dict[int, Callable[[], None]] = {}
"""Queued work by its number, which is all that the runtime knows of it. What a graph holds stays,
as the runtime does not say when the graph goes."""
_errors: list[Exception] = []


@ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int64)
def _do(number: int) -> int:
    try:
        with torch._C._DisableTorchDispatch():
            _work[number]()
    except Exception as error:
        _errors.append(error)
        return 1
    return 0


runtime.fake_gpu_enqueue.argtypes = [ctypes.c_void_p, type(_do), ctypes.c_int64]


def _enqueue(work: Callable[[], None]) -> None:
    """Queues work in the current stream.

    Raises:
        Exception: what the work raised, if it was done at once.
        torch.AcceleratorError: the stream is captured and the capture has failed.
    """
    number = next(_numbers)
    _work[number] = work
    capturing = torch.cuda.is_current_stream_capturing()
    error = runtime.fake_gpu_enqueue(torch.cuda.current_stream().cuda_stream, _do, number)
    if error or not capturing:
        del _work[number]
    if _errors:
        raise _errors.pop()
    if error:
        runtime.cudaGetErrorString.restype = ctypes.c_char_p
        raise torch.AcceleratorError(f"CUDA error: {runtime.cudaGetErrorString(error).decode()}")
