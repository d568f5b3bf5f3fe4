"""Unpickles the dictionary of a PyTorch weights file, without PyTorch and without running it.

A pickle can name any function for its reader to call, so this reader knows only the few names that
a dictionary of tensors is made of, and stands its own inert stand-ins in for them.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import warnings
from collections import OrderedDict
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ajl_tf.errors import UserError

_DTYPES = {
    "DoubleStorage": "<f8",
    "FloatStorage": "<f4",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "<i1",
    "ByteStorage": "<u1",
    "BoolStorage": "|b1",
}


class Storage(NamedTuple):
    """A run of numbers that stands elsewhere in the file."""

    key: str
    dtype: str
    numbers: int


class Tensor(NamedTuple):
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def load(stream: io.BytesIO) -> Any:
    """Unpickles one value and leaves `stream` behind it.

    Raises:
        UserError: The pickle names a function that is not known.
        pickle.UnpicklingError: It is damaged; other exceptions are possible then.
    """
    start = stream.tell()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of odd escapes in a damaged file
        for opcode, argument, _ in pickletools.genops(stream):
            # Python fills its memo up to the number that a file names, which could be all memory.
            if opcode.name.endswith("PUT") and int(argument or 0) > stream.getbuffer().nbytes:
                refuse(f"a memo of {argument} values")
        stream.seek(start)
        return _Unpickler(stream).load()


def load_tensors(stream: io.BytesIO) -> dict[str, Tensor]:
    """Unpickles a flat dictionary of name -> tensor; raises as `load` does."""
    tensors = load(stream)
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in tensors.items()
    ):
        raise UserError("expected a flat dictionary of name -> tensor, such as model.state_dict().")
    return tensors


def cut(tensor: Tensor, numbers: bytes | memoryview) -> np.ndarray:
    """The tensor's numbers as an array that owns its memory.

    Raises:
        ValueError: The tensor reaches beyond `numbers`, the bytes of its storage.
    """
    dtype = np.dtype(tensor.storage.dtype)
    view: np.ndarray = np.ndarray(  # checks the view against the buffer's bounds itself
        tensor.shape,
        dtype,
        buffer=numbers,
        offset=tensor.offset * dtype.itemsize,
        strides=tuple(stride * dtype.itemsize for stride in tensor.strides),
    )
    return view.copy()


def refuse(reason: str) -> NoReturn:
    """Ends the reading of a damaged file."""
    raise pickle.UnpicklingError(reason)


class _Unpickler(pickle.Unpickler):
    """Knows only what a dictionary of tensors is made of; never imports anything."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if module == "torch" and name in _DTYPES:
            return _DTYPES[name]  # a mere string: calling it fails
        raise UserError(
            f"the file names {module}.{name}, which a dictionary of tensors does not need. It is "
            "not read, because it could run code. Use weights from a source you trust."
        )

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _location, count, *view = pid  # the older format ends with None
        if kind != "storage" or any(view) or dtype not in _DTYPES.values():
            raise pickle.UnpicklingError(f"unknown kind of storage {pid!r}")
        return Storage(str(key), dtype, _whole(count))


class _TensorBuilder:
    """Stands in for `torch._utils._rebuild_tensor_v2`; slots, so a pickle can set nothing on it."""

    __slots__ = ()

    def __call__(
        self,
        storage: Storage,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        *_: Any,
    ) -> Tensor:
        if not isinstance(storage, Storage):
            raise pickle.UnpicklingError("a tensor without numbers")
        shape, strides = tuple(map(_whole, size)), tuple(map(_whole, stride))
        # A tensor larger than its storage repeats numbers; unchecked, it could claim any memory.
        if math.prod(shape) > storage.numbers or len(shape) != len(strides):
            raise pickle.UnpicklingError(f"a tensor of shape {shape} on {storage.numbers} numbers")
        return Tensor(storage, _whole(offset), shape, strides)


_rebuild_tensor = _TensorBuilder()


def _whole(number: Any) -> int:
    if not isinstance(number, int) or number < 0:
        refuse(f"expected a count, received {number!r}")
    return number
