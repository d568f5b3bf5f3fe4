"""Reads an old PyTorch weights file into NumPy arrays, without PyTorch and without running it.

A `.pth` file of before PyTorch 1.6 is a run of pickles followed by the raw numbers. A pickle can
name any function for its reader to call, so this reader knows only the few names that a dictionary
of tensors is made of, and stands its own inert stand-ins in for them.
"""

from __future__ import annotations

import io
import math
import pickle
import pickletools
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np

from ajl_tf.errors import UserError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
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
# What unpickling a damaged file may raise (the pickle module documents "other exceptions" as well).
_PICKLE_ERRORS = (
    pickle.UnpicklingError,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
)


class _Storage(NamedTuple):
    """A run of numbers that stands further on in the file."""

    key: str
    dtype: str
    numbers: int


class _Tensor(NamedTuple):
    """A view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch file written before version 1.6 (not a zip file).

    Args:
        path: A file that `torch.save(model.state_dict(), …)` wrote, in the old format.

    Returns:
        Name -> array, in the file's order. Each array is a copy that owns its memory.

    Raises:
        UserError: The file is missing, damaged, of the newer zip format, holds anything but a flat
            dictionary of tensors, or names a function that this reader does not know. Nothing that
            a file names is ever imported or called.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file. Expected a PyTorch weights file (.pth).")
    if zipfile.is_zipfile(path):
        raise UserError(
            f"{path} is in PyTorch's newer zip format; this reader knows the older one. Write it "
            "again with torch.save(state_dict, path, _use_new_zipfile_serialization=False)."
        )
    data = path.read_bytes()
    stream = io.BytesIO(data)
    try:
        tensors = _read_names(stream)
        return _read_numbers(stream, memoryview(data), tensors)
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except _PICKLE_ERRORS as error:
        raise UserError(
            f"{path} is damaged, or is no PyTorch weights file: it cannot be read to its end. "
            f"Fetch it again. Received: {type(error).__name__}: {error}"
        ) from error


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

    def persistent_load(self, pid: Any) -> _Storage:
        kind, dtype, key, _location, count, view = pid
        if kind != "storage" or view is not None or dtype not in _DTYPES.values():
            raise pickle.UnpicklingError(f"unknown kind of storage {pid!r}")
        return _Storage(str(key), dtype, _whole(count))


class _TensorBuilder:
    """Stands in for `torch._utils._rebuild_tensor_v2`; slots, so a pickle can set nothing on it."""

    __slots__ = ()

    def __call__(
        self,
        storage: _Storage,
        offset: int,
        size: tuple[int, ...],
        stride: tuple[int, ...],
        *_: Any,
    ) -> _Tensor:
        if not isinstance(storage, _Storage):
            raise pickle.UnpicklingError("a tensor without numbers")
        shape, strides = tuple(map(_whole, size)), tuple(map(_whole, stride))
        # A tensor larger than its storage repeats numbers; unchecked, it could claim any memory.
        if math.prod(shape) > storage.numbers or len(shape) != len(strides):
            raise pickle.UnpicklingError(f"a tensor of shape {shape} on {storage.numbers} numbers")
        return _Tensor(storage, _whole(offset), shape, strides)


_rebuild_tensor = _TensorBuilder()


def _load(stream: io.BytesIO) -> Any:
    """Unpickles one value and leaves `stream` behind it."""
    start = stream.tell()
    for opcode, argument, _ in pickletools.genops(stream):
        # Python fills its memo up to the number that a file names, which could be all memory.
        if opcode.name.endswith("PUT") and int(argument or 0) > stream.getbuffer().nbytes:
            _refuse(f"a memo of {argument} values")
    stream.seek(start)
    return _Unpickler(stream).load()


def _read_names(stream: io.BytesIO) -> dict[str, _Tensor]:
    """Reads the header and the dictionary; leaves `stream` at the list of storages."""
    if (magic := _load(stream)) != _MAGIC:
        _refuse(f"the first number is not PyTorch's mark but {magic!r}")
    if (protocol := _load(stream)) != _PROTOCOL:
        _refuse(f"expected format {_PROTOCOL}, received {protocol!r}")
    if not _load(stream)["little_endian"]:
        _refuse("the numbers are big-endian")
    tensors = _load(stream)
    if not isinstance(tensors, dict) or not all(
        isinstance(name, str) and isinstance(tensor, _Tensor) for name, tensor in tensors.items()
    ):
        raise UserError("expected a flat dictionary of name -> tensor, such as model.state_dict().")
    return tensors


def _read_numbers(
    stream: io.BytesIO, data: memoryview, tensors: dict[str, _Tensor]
) -> dict[str, np.ndarray]:
    """Reads the storages (count as int64, then the numbers) and cuts the tensors from them."""
    expected = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    arrays: dict[str, memoryview] = {}
    for key in _load(stream):
        storage = expected[key]
        count = int.from_bytes(stream.read(8), "little", signed=True)
        start = stream.tell()
        end = start + count * np.dtype(storage.dtype).itemsize
        if end > len(data):
            raise EOFError(f"the file ends inside storage {key}")
        if count != storage.numbers:
            _refuse(f"storage {key} should have {storage.numbers} numbers, received {count}")
        arrays[key] = data[start:end]
        stream.seek(end)
    return {name: _cut(tensor, arrays[tensor.storage.key]) for name, tensor in tensors.items()}


def _cut(tensor: _Tensor, numbers: memoryview) -> np.ndarray:
    dtype = np.dtype(tensor.storage.dtype)
    view: np.ndarray = np.ndarray(  # checks the view against the buffer's bounds itself
        tensor.shape,
        dtype,
        buffer=numbers,
        offset=tensor.offset * dtype.itemsize,
        strides=tuple(stride * dtype.itemsize for stride in tensor.strides),
    )
    return view.copy()


def _whole(number: Any) -> int:
    if not isinstance(number, int) or number < 0:
        _refuse(f"expected a count, received {number!r}")
    return number


def _refuse(reason: str) -> NoReturn:
    raise pickle.UnpicklingError(reason)
