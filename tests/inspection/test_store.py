"""What is known of photos, kept for two installations of the package that share a folder."""

from __future__ import annotations

from pathlib import Path

from ajl_tf.inspection.store import Part, Store, with_store

OLDEST, OLD, NEW = (Part("sizes", libraries=[version]) for version in ("1", "2", "3"))
OTHER = Part("colours", libraries=["1"])
KEYS = [b"a", b"b"]


def kept(cache: Path, part: Part) -> dict[bytes, bytes]:
    return with_store(cache, lambda store: store.get(part, KEYS))


def test_an_older_installation_at_work_loses_nothing(tmp_path: Path) -> None:
    older = Store(tmp_path / "photos.sqlite")
    older.put(OLD, [(b"a", b"old a")])
    with_store(tmp_path, lambda store: store.put(NEW, [(b"a", b"new a")]))
    older.put(OLD, [(b"b", b"old b")])
    assert older.get(OLD, KEYS) == {b"a": b"old a", b"b": b"old b"}
    assert kept(tmp_path, NEW) == {b"a": b"new a"}


def test_of_what_others_made_only_the_newest_stays(tmp_path: Path) -> None:
    for part in (OLDEST, OTHER, OLD, NEW):
        with_store(tmp_path, lambda store, part=part: store.put(part, [(b"a", b"value")]))  # type: ignore[misc]
    assert kept(tmp_path, OLDEST) == {}
    assert all(kept(tmp_path, part) == {b"a": b"value"} for part in (OLD, NEW, OTHER))
