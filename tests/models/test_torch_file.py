"""The reader of PyTorch files, against files put together here opcode by opcode.

That it reads what PyTorch 2.13 wrote is seen in test_regnet.py.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import pickle
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ajl_tf.errors import UserError
from ajl_tf.models.torch_file import read_state_dict

STORAGES = {
    "f8": "DoubleStorage",
    "f4": "FloatStorage",
    "f2": "HalfStorage",
    "i8": "LongStorage",
    "u1": "ByteStorage",
    "b1": "BoolStorage",
}
REBUILD = b"ctorch._utils\n_rebuild_tensor_v2\n"
one_file = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def text(value: str) -> bytes:
    return b"V" + value.encode() + b"\n"


def row(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def numbers(values: tuple[int, ...]) -> bytes:
    return row(*(b"I%d\n" % value for value in values))


def tensor(
    kind: str, key: str, count: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> bytes:
    """Opcodes that build one tensor, as torch.save wrote them (in their readable spelling)."""
    storage = row(
        text("storage"),
        f"ctorch\n{kind}\n".encode(),
        text(key),
        text("cpu"),
        b"I%d\n" % count,
        b"N",
    )
    hooks = b"ccollections\nOrderedDict\n)R"
    arguments = (
        storage + b"Q",
        b"I%d\n" % offset,
        numbers(shape),
        numbers(strides),
        b"I00\n",
        hooks,
    )
    return REBUILD + row(*arguments) + b"R"


def torch_file(body: bytes, storages: Mapping[str, np.ndarray]) -> bytes:
    """A whole file: mark, version, machine, dictionary, list of storages, storages."""
    head = [0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}]
    return b"".join(
        [
            *(pickle.dumps(value, protocol=2) for value in head),
            b"\x80\x02" + body + b".",
            pickle.dumps(list(storages), protocol=2),
            *(struct.pack("<q", array.size) + array.tobytes() for array in storages.values()),
        ]
    )


def dictionary(state: Mapping[str, np.ndarray]) -> tuple[bytes, dict[str, np.ndarray]]:
    """Opcodes that build a state dictionary, and the storages that they name."""
    items, storages = [], {}
    for key, (name, array) in zip(itertools.count(), state.items()):
        strides = tuple(stride // array.itemsize for stride in array.strides)
        kind = STORAGES[array.dtype.str[1:]]
        items.append(text(name) + tensor(kind, str(key), array.size, 0, array.shape, strides))
        storages[str(key)] = np.ascontiguousarray(array.ravel(order="K"))
    return b"ccollections\nOrderedDict\n)R(" + b"".join(items) + b"u", storages


def state_file(state: Mapping[str, np.ndarray]) -> bytes:
    return torch_file(*dictionary(state))


def state_archive(state: Mapping[str, np.ndarray], method: int = zipfile.ZIP_STORED) -> bytes:
    """As PyTorch writes it since 1.6: the same dictionary, and each storage in a file of a zip."""
    body, storages = dictionary(state)
    body = body.replace(b"\nNtQ", b"\ntQ")  # the older format's storages end with a None
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        archive.writestr("it/data.pkl", b"\x80\x02" + body + b".")
        archive.writestr("it/byteorder", "little")
        for key, array in storages.items():
            archive.writestr(f"it/data/{key}", array.tobytes())
    return stream.getvalue()


arrays = st.sampled_from(sorted(STORAGES)).flatmap(
    lambda kind: hnp.arrays(
        np.dtype(kind if kind == "b1" else f"<{kind}" if kind != "u1" else "u1"),
        hnp.array_shapes(min_dims=0, max_dims=4, min_side=1, max_side=4),
    )
)
names = st.text("abcdefgh_.0123456789", min_size=1, max_size=12)


@one_file
@given(state=st.dictionaries(names, arrays, max_size=4), transposed=st.booleans())
def test_reads_what_was_written(
    tmp_path: Path, state: dict[str, np.ndarray], transposed: bool
) -> None:
    if transposed:  # another order of axes in memory, as the packages' files have
        state = {name: np.asarray(array).T for name, array in state.items()}
    path = tmp_path / "weights.pth"
    path.write_bytes(state_file(state))
    read = read_state_dict(path)
    assert list(read) == list(state)
    for name, array in state.items():
        assert read[name].dtype == array.dtype
        assert read[name].shape == array.shape
        assert read[name].tobytes() == array.tobytes()
        assert read[name].flags.owndata


@one_file
@given(state=st.dictionaries(names, arrays, max_size=4))
def test_reads_an_archive(tmp_path: Path, state: dict[str, np.ndarray]) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(state_archive(state))
    read = read_state_dict(path)
    assert list(read) == list(state)
    for name, array in state.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()


def test_an_archive_that_is_not_as_pytorch_writes_it_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    state = {"w": np.arange(6, dtype="<f4")}
    path.write_bytes(state_archive(state, zipfile.ZIP_DEFLATED))
    with pytest.raises(UserError, match="byteorder is compressed"):
        read_state_dict(path)
    content = state_archive(state)
    with pytest.raises(UserError, match="should have 24 bytes, received 20"):
        rewrite(path, content, "it/data/0", state["w"][:5].tobytes())
    with pytest.raises(UserError, match="numbers are big-endian"):
        rewrite(path, content, "it/byteorder", b"big")
    with pytest.raises(UserError, match=r"names builtins\.eval, .* could run code"):
        rewrite(path, content, "it/data.pkl", b"cbuiltins\neval\n.")
    damaged = bytearray(content)
    damaged[content.index(state["w"].tobytes())] ^= 1
    path.write_bytes(damaged)
    with pytest.raises(UserError, match=r"weights\.pth is damaged.*CRC"):
        read_state_dict(path)


def rewrite(path: Path, content: bytes, name: str, data: bytes) -> None:
    """Reads the archive with another content in one of its files."""
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(path, "w") as new:
        for member in old.namelist():
            new.writestr(member, data if member == name else old.read(member))
    read_state_dict(path)


def test_cuts_a_view_from_a_shared_storage(tmp_path: Path) -> None:
    shared = np.arange(12, dtype="<f4")
    body = b"}(" + b"".join(
        [
            text("whole") + tensor("FloatStorage", "s", 12, 0, (3, 4), (4, 1)),
            text("column") + tensor("FloatStorage", "s", 12, 1, (3,), (4,)),
            b"u",
        ]
    )
    (tmp_path / "weights.pth").write_bytes(torch_file(body, {"s": shared}))
    state = read_state_dict(tmp_path / "weights.pth")
    assert state["whole"].tolist() == shared.reshape(3, 4).tolist()
    assert state["column"].tolist() == [1, 5, 9]


GOOD = state_file({"w": np.arange(6, dtype="<f4").reshape(2, 3), "n": np.array(5, dtype="<i8")})


@one_file
@given(length=st.integers(0, len(GOOD) - 1))
def test_a_truncated_file_is_refused(tmp_path: Path, length: int) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(GOOD[:length])
    with pytest.raises(UserError, match=r"weights\.pth is damaged"):
        read_state_dict(path)


@one_file
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused_and_never_crashes(
    tmp_path: Path, data: st.DataObject
) -> None:
    content = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(GOOD) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / "weights.pth"
    path.write_bytes(content)
    with contextlib.suppress(UserError):  # anything else, a hang or exhausted memory fails
        assert all(isinstance(array, np.ndarray) for array in read_state_dict(path).values())


class Touch:
    """Unpickles by creating a file: what a malicious weights file would do, and worse."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("position", ["first pickle", "tensor", "list of storages"])
def test_a_malicious_file_runs_nothing_and_is_refused_by_name(
    tmp_path: Path, position: str
) -> None:
    victim = tmp_path / "created"
    evil = pickle.dumps(Touch(victim), protocol=2)
    path = tmp_path / "weights.pth"
    whole = {
        "first pickle": evil,
        "tensor": torch_file(b"}(" + text("w") + evil[2:-1] + b"u", {}),
        "list of storages": torch_file(b"}", {}).replace(pickle.dumps([], protocol=2), evil),
    }[position]
    path.write_bytes(whole)
    named = re.escape(f"names {open.__module__}.open")  # another module from Python 3.12 on
    with pytest.raises(UserError, match=f"{named}.* could run code"):
        read_state_dict(path)
    assert not victim.exists()
    pickle.loads(evil).close()  # the same bytes do it to an ordinary unpickler
    assert victim.exists()


@pytest.mark.parametrize(
    "name",
    ["builtins eval", "os system", "torch._utils _rebuild_tensor", "torch load", "torch.nn X"],
)
def test_only_the_listed_names_are_known(tmp_path: Path, name: str) -> None:
    module, function = name.split()
    path = tmp_path / "weights.pth"
    path.write_bytes(torch_file(f"c{module}\n{function}\n".encode(), {}))
    with pytest.raises(UserError, match=rf"names {module}\.{function},"):
        read_state_dict(path)


@pytest.mark.parametrize(
    ("reason", "body"),
    [
        # More memory than the file has, past the storage, before it, backwards through it.
        ("a tensor of shape", tensor("FloatStorage", "s", 4, 0, (1 << 40,), (0,))),
        ("ValueError", tensor("FloatStorage", "s", 4, 2, (3,), (1,))),
        ("expected a count, received -1", tensor("FloatStorage", "s", 4, -1, (2,), (1,))),
        ("expected a count, received -1", tensor("FloatStorage", "s", 4, 3, (2,), (-1,))),
        ("should have 3 numbers", tensor("FloatStorage", "s", 3, 0, (3,), (1,))),
        ("KeyError", tensor("FloatStorage", "no such storage", 4, 0, (4,), (1,))),
        ("a memo of 2147483647 values", b"Nr\xff\xff\xff\x7f"),
    ],
)
def test_an_impossible_tensor_is_refused(tmp_path: Path, reason: str, body: bytes) -> None:
    path = tmp_path / "weights.pth"
    content = torch_file(b"}(" + text("w") + body + b"u", {"s": np.zeros(4, dtype="<f4")})
    path.write_bytes(content)
    with pytest.raises(UserError, match=f"is damaged.*{reason}"):
        read_state_dict(path)


def test_other_files_are_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no such file"):
        read_state_dict(tmp_path / "missing.pth")
    np.savez(tmp_path / "other", a=np.zeros(1))  # a zip file, but NumPy's
    with pytest.raises(UserError, match=r"no PyTorch weights file: it has no data\.pkl"):
        read_state_dict(tmp_path / "other.npz")
    (tmp_path / "list.pth").write_bytes(torch_file(b"]", {}))
    with pytest.raises(UserError, match="flat dictionary"):
        read_state_dict(tmp_path / "list.pth")
