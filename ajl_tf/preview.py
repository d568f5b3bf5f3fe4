"""Draws a grid of photos as an experiment augments them: what the network sees while it trains.

The first column is the photo as it is evaluated; the others are epochs. All labelled photos may be
shown, also those that a split holds out. The picture shows the photos: mind their terms before you
pass it on.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ajl_tf.errors import UserError, run_verb
from ajl_tf.process import import_tensorflow


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb."""
    parser = argparse.ArgumentParser(
        prog="python -m ajl_tf.preview",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("experiment", type=Path, help="an experiments/<name>.toml")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument(
        "--data", action="append", type=Path, metavar="PATH", help="as for train (default: data/)"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY=VALUE", help="as for train"
    )
    parser.add_argument("--photos", type=int, default=8, metavar="N", help="rows of the grid")
    parser.add_argument("--epochs", type=int, default=8, metavar="N", help="columns of the grid")
    arguments = parser.parse_args(argv)
    if arguments.photos < 1 or arguments.epochs < 1:
        raise UserError("--photos and --epochs must be at least 1")
    if arguments.out.exists():
        raise UserError(f"{arguments.out} exists already and is not overwritten. Name another.")

    from ajl_tf.config_file import load_experiment
    from ajl_tf.dataset.manifest import labelled, read_manifest

    experiment = load_experiment(arguments.experiment, arguments.set)
    manifest = labelled(read_manifest(arguments.data or [Path("data")]))
    if manifest.empty:
        raise UserError("no photo of the data has a label, and what trains is drawn here.")
    chosen = manifest.sample(min(arguments.photos, len(manifest)), random_state=experiment.seed)

    import numpy as np
    from PIL import Image

    import_tensorflow()
    from ajl_tf.dataset.canvases import load_canvases
    from ajl_tf.files import atomic_path
    from ajl_tf.training.balance import strengths
    from ajl_tf.training.keyed import photo_keys
    from ajl_tf.training.preview import augmented_grid

    canvases = load_canvases(
        chosen["path"].tolist(),
        experiment.canvas,
        experiment.data.fit,
        cache=Path("data/.cache"),
        memory_limit_mb=experiment.data.memory_limit_mb,
    )
    labels = manifest["label"].astype("category").cat.codes.to_numpy(np.int64)
    strength = strengths(labels, np.arange(len(labels)), experiment.augment.rare_boost)
    grid = augmented_grid(
        canvases,
        photo_keys(chosen["image_id"]),
        experiment.augment,
        experiment.input_size,
        experiment.seed,
        arguments.epochs,
        None if strength is None else strength[chosen.index],
    )
    with atomic_path(arguments.out, overwrite=False) as temporary:
        Image.fromarray(grid).save(temporary, "PNG")
    print(f"augmented photos  {arguments.out}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
