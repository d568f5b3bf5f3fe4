"""Photos that are one photo: stored again, resized, cropped, mirrored, turned, marked, brightened.

No network and no random number is involved: the same photos always give the same pairs.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ajl_tf.inspection.examination import FINGERPRINTS, examine
from ajl_tf.inspection.matching import Pair, find_pairs
from ajl_tf.inspection.store import Part, Store, with_store

COLUMNS = ("first", "second", "kind", "similarity", "change")
_PAIRS = Part("pairs", find_pairs)


def find_duplicates(manifest: pd.DataFrame, cache: Path | None) -> pd.DataFrame:
    """Finds the pairs of photos that are one.

    Args:
        manifest: Columns `image_id` and `path`. Photos that cannot be read are in no pair.
        cache: Folder where fingerprints are kept, by each photo's content; None keeps nothing.

    Returns:
        A row a pair, sorted, with a RangeIndex: `first` and `second` (image_ids, `first` smaller),
        `kind` (`identical` content, or `near`), `similarity` (of the pixels, in [0, 1]) and
        `change` ("mirrored, cropped to 71 %"; empty if identical). Of photos of identical content
        each is paired with that of the smallest image_id, and only that one with others.
    """
    paths = manifest["path"].tolist()
    digests, near = with_store(cache, lambda store: _found(paths, store))
    ids = defaultdict(list)
    for image_id, digest in zip(manifest["image_id"], digests, strict=True):
        ids[digest].append(image_id)
    ids.pop("", None)  # could not be read
    names = {digest: sorted(alike) for digest, alike in ids.items()}
    rows = [
        (alike[0], other, "identical", 1.0, "") for alike in names.values() for other in alike[1:]
    ]
    for pair in near:
        first, second = sorted((names[pair.first][0], names[pair.second][0]))
        rows.append((first, second, "near", pair.similarity, pair.change))
    return pd.DataFrame(sorted(rows), columns=list(COLUMNS))


def _found(paths: Sequence[str], store: Store) -> tuple[list[str], list[Pair]]:
    """The digest of each photo, "" if it cannot be read, and the pairs of digests."""
    files = examine(paths, store, [FINGERPRINTS])
    unique = sorted({file.digest for file in files if file.digest})
    key = hashlib.sha256(b"".join(unique)).digest()
    kept = store.get(_PAIRS, [key])
    if key not in kept:
        kept[key] = json.dumps(find_pairs(unique, store)).encode()
        store.put(_PAIRS, [(key, kept[key])])
    return [file.digest.hex() for file in files], [Pair(*row) for row in json.loads(kept[key])]
