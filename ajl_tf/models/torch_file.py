"""Reads a PyTorch weights file into NumPy arrays, without PyTorch and without running it.

Before version 1.6 such a file was a run of pickles followed by the raw numbers. Since then it is a
zip archive of one pickle, `data.pkl`, and one file of raw numbers for each storage, `data/<key>`.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import numpy as np

from ajl_tf.errors import UserError
from ajl_tf.models.torch_pickle import Tensor, cut, load, load_tensors, refuse

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
# What reading a damaged file may raise (the pickle module documents "other exceptions" as well).
_READ_ERRORS = (
    pickle.UnpicklingError,
    zipfile.BadZipFile,
    EOFError,
    AttributeError,
    ImportError,
    LookupError,
    MemoryError,
    NotImplementedError,  # an archive that zipfile cannot read
    RuntimeError,  # one with a password
    TypeError,
    ValueError,
    OverflowError,
    RecursionError,
)


def read_state_dict(path: str | Path) -> dict[str, np.ndarray]:
    """Reads the tensors of a PyTorch weights file.

    Args:
        path: A file that `torch.save(model.state_dict(), …)` wrote, by any version of PyTorch.

    Returns:
        Name -> array, in the file's order. Each array is a copy that owns its memory.

    Raises:
        UserError: The file is missing, damaged, holds anything but a flat dictionary of tensors,
            or names a function that this reader does not know. Nothing that a file names is ever
            imported or called.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: there is no such file. Expected a PyTorch weights file (.pth).")
    try:
        if zipfile.is_zipfile(path):
            return _read_archive(path)
        data = path.read_bytes()
        stream = io.BytesIO(data)
        return _read_numbers(stream, memoryview(data), _read_names(stream))
    except UserError as error:
        raise UserError(f"{path}: {error}") from None
    except _READ_ERRORS as error:
        raise UserError(
            f"{path} is damaged, or is no PyTorch weights file: it cannot be read to its end. "
            f"Fetch it again. Received: {type(error).__name__}: {error}"
        ) from error


# --- Since PyTorch 1.6 ---


def _read_archive(path: Path) -> dict[str, np.ndarray]:
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        pickled = [name for name in names if name.endswith("/data.pkl")]
        if len(pickled) != 1:
            raise UserError("this zip archive is no PyTorch weights file: it has no data.pkl.")
        folder = pickled[0].removesuffix("data.pkl")
        if f"{folder}byteorder" in names and _member(archive, f"{folder}byteorder") != b"little":
            refuse("the numbers are big-endian")
        tensors = load_tensors(io.BytesIO(_member(archive, pickled[0])))
        arrays = {}
        for name, tensor in tensors.items():
            numbers = _member(archive, f"{folder}data/{tensor.storage.key}")
            expected = tensor.storage.numbers * np.dtype(tensor.storage.dtype).itemsize
            if len(numbers) != expected:
                refuse(f"{name} should have {expected} bytes, received {len(numbers)}")
            arrays[name] = cut(tensor, numbers)
        return arrays


def _member(archive: zipfile.ZipFile, name: str) -> bytes:
    """A file of the archive. PyTorch compresses none; a compressed one could unpack to any size."""
    if archive.getinfo(name).compress_type != zipfile.ZIP_STORED:
        refuse(f"{name} is compressed")
    return archive.read(name)


# --- Before ---


def _read_names(stream: io.BytesIO) -> dict[str, Tensor]:
    """Reads the header and the dictionary; leaves `stream` at the list of storages."""
    if (magic := load(stream)) != _MAGIC:
        refuse(f"the first number is not PyTorch's mark but {magic!r}")
    if (protocol := load(stream)) != _PROTOCOL:
        refuse(f"expected format {_PROTOCOL}, received {protocol!r}")
    if not load(stream)["little_endian"]:
        refuse("the numbers are big-endian")
    return load_tensors(stream)


def _read_numbers(
    stream: io.BytesIO, data: memoryview, tensors: dict[str, Tensor]
) -> dict[str, np.ndarray]:
    """Reads the storages (count as int64, then the numbers) and cuts the tensors from them."""
    expected = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    arrays: dict[str, memoryview] = {}
    for key in load(stream):
        storage = expected[key]
        count = int.from_bytes(stream.read(8), "little", signed=True)
        start = stream.tell()
        end = start + count * np.dtype(storage.dtype).itemsize
        if end > len(data):
            raise EOFError(f"the file ends inside storage {key}")
        if count != storage.numbers:
            refuse(f"storage {key} should have {storage.numbers} numbers, received {count}")
        arrays[key] = data[start:end]
        stream.seek(end)
    return {name: cut(tensor, arrays[tensor.storage.key]) for name, tensor in tensors.items()}
