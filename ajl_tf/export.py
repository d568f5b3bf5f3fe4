"""Exports a finished run as a SavedModel that loads anywhere, without this package."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ajl_tf.errors import run_verb
from ajl_tf.process import import_tensorflow


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb."""
    parser = argparse.ArgumentParser(prog="python -m ajl_tf.export", description=__doc__)
    parser.add_argument(
        "run",
        type=Path,
        help="a folder under experiments/runs/; of one with folds, their average is exported, or "
        "its refit if it has one",
    )
    parser.add_argument(
        "--saved-models",
        type=Path,
        default=Path("saved_models"),
        metavar="DIR",
        help="folder of all SavedModels (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)

    import_tensorflow()
    from ajl_tf.serving.export import export_run

    print(f"SavedModel   {export_run(arguments.run, arguments.saved_models)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
