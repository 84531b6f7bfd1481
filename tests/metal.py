"""A stand-in for Apple's GPU: tensors whose device is `mps`, computed on the CPU, where nothing is ever float64.

It refuses what PyTorch refuses there, and what goes wrong there without a word: float64 and complex128, also where a
copy to the CPU would be cast to it (the GPU casts before it sends), operations of tensors of both devices, and copies
that the host does not wait for.
"""

import contextlib
import functools
from collections.abc import Iterator
from typing import Any
from unittest import mock

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map

MPS = torch.device("mps", 0)
NAME = "Apple M0"
WIDE = (torch.float64, torch.complex128)
aten = torch.ops.aten
OF_BOTH = (aten.copy_.default, aten.index.Tensor, aten.index_put_.default)
"""Operations that take tensors of both devices."""
made_on_cpu = torch.tensor


class Metal(Tensor):
    """A tensor there; what it holds, `inner`, lies on the CPU."""

    inner: Tensor
    device = property(lambda self: MPS)
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Metal":
        if inner.dtype in WIDE:
            raise TypeError("Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64")
        facts = {"strides": inner.stride(), "storage_offset": inner.storage_offset(), "dtype": inner.dtype}
        self = Tensor._make_wrapper_subclass(cls, inner.size(), **facts)
        self.inner = inner
        return self

    def __repr__(self, **_: Any) -> str:
        return f"Metal({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        into = func is aten.copy_.default and isinstance(args[0], Metal)
        others = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        others = [each for each in others if not isinstance(each, Metal) and each.device.type == "cpu"]
        # autograd makes zeros in the place of gradients that are not there, by a way that passes nobody
        if func not in OF_BOTH and any(each.dim() and each.any() for each in others):
            raise RuntimeError(f"{func}: expected all tensors to be on the same device")
        if not into and any(each.dtype in WIDE for each in others):
            raise TypeError(f"{func}: float64 beside a tensor of MPS")
        out = func(*tree_map(_inner, args), **tree_map(_inner, kwargs))
        if func is aten.copy_.default and not into:
            return args[0]
        with torch.inference_mode(False):  # views of what was made outside are no tensors of inference
            return return_and_correct_aliasing(func, args, kwargs, tree_map(_there, out))


def _inner(x: Any) -> Any:
    return x.inner if isinstance(x, Metal) else x


def _there(x: Any) -> Any:
    return Metal(x) if isinstance(x, Tensor) and not isinstance(x, Metal) else x


def _is_mps(device: Any) -> bool:
    return device is not None and torch.device(device).type == "mps"


class _Move(torch.autograd.Function):
    """From one device to the other."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.inner.clone() if isinstance(x, Metal) else Metal(x.clone())

    @staticmethod
    def backward(ctx: Any, *gradient: Tensor) -> Tensor:
        moved: Tensor = _Move.apply(gradient[0])
        return moved


class _Functions(TorchFunctionMode):
    """Functions of PyTorch that name a device."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        here = isinstance(args[0] if args else None, Metal)
        if func is Tensor.to:
            return _to(*args, **kwargs)
        if func is Tensor.cpu:
            return _to(args[0], "cpu")
        if func is Tensor.tolist:
            return _inner(args[0]).tolist()
        if func is torch.nn.functional.one_hot and here:  # within, it makes a tensor for whom the device is the CPU
            return Metal(func(args[0].inner, *args[1:], **kwargs))
        if func in (Tensor.numpy, Tensor.__array__) and here:
            raise TypeError("can't convert mps:0 device type tensor to numpy. Use Tensor.cpu()")
        if _is_mps(kwargs.get("device")):
            return _there(func(*args, **{name: value for name, value in kwargs.items() if name != "device"}))
        return func(*args, **kwargs)


def _to(x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The method `Tensor.to`: a tensor that comes to the GPU is cast on the CPU, and one that leaves it on the GPU."""
    device, dtype, waits = kwargs.pop("device", None), kwargs.pop("dtype", None), not kwargs.pop("non_blocking", False)
    for each in args:
        if isinstance(each, Tensor):
            device, dtype = each.device, each.dtype
        elif isinstance(each, torch.dtype):
            dtype = each
        elif isinstance(each, bool):
            waits = waits and not each
        elif each is not None:
            device = each
    if device is not None and _is_mps(device) != isinstance(x, Metal):
        if not waits:
            raise RuntimeError("a copy to MPS for which the host does not wait may read memory that is free again")
        x, dtype = _Move.apply(x if dtype is None else Tensor.to(x, dtype)), None
        kwargs.pop("copy", None)
    return Tensor.to(x, x.dtype if dtype is None else dtype, **kwargs)


class _Made(TorchDispatchMode):
    """Makes tensors there also within the gradients of functions, where there is no `_Functions`."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if _is_mps(kwargs.get("device")) and not any(isinstance(each, Metal) for each in args):
            return Metal(func(*args, **{**kwargs, "device": torch.device("cpu")}))
        return func(*args, **kwargs)


def _tensor(*args: Any, **kwargs: Any) -> Tensor:
    if not _is_mps(kwargs.get("device")):
        return made_on_cpu(*args, **kwargs)
    return Metal(made_on_cpu(*args, **{**kwargs, "device": "cpu"}))


@contextlib.contextmanager
def mac() -> Iterator[None]:
    """A machine with such a GPU, for the block and the thread."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    there = functools.wraps(torch.backends.mps.is_available)(lambda: True)  # PyTorch's compiler looks behind it
    facts = {"is_available": there, "is_built": lambda: True, "get_name": lambda: NAME}
    torch.__future__.set_overwrite_module_params_on_conversion(True)  # a parameter's class cannot change
    try:
        with (
            mock.patch.multiple(torch.backends.mps, **facts),
            mock.patch.object(torch.mps, "recommended_max_memory", return_value=8 * 2**30),
            mock.patch.object(torch, "tensor", _tensor),
            _Made(),
            _Functions(),
        ):
            yield
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)
