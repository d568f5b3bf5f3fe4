"""Exports finished runs as one SavedModel that loads anywhere, without this package.

Its probabilities are calibrated on photos that were not trained on (temperature scaling), and it
says of each photo how unlike anything known it is. Several runs become one model: their weights are
fitted on the photos that each held out, and what they score together is written beside the runs.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from ajl_tf.errors import UserError, memory_told, run_verb
from ajl_tf.files import check_name
from ajl_tf.process import import_tensorflow
from ajl_tf.train_options import add_folders

MORE_MEMORY = (
    "Its batches are small already: export on a machine with more memory, or, where it was a "
    "GPU's, with CUDA_VISIBLE_DEVICES=-1 before the command."
)
VIEWS = ("none", "flips", "flips+crops")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb."""
    arguments = _parser().parse_args(argv)
    runs: list[Path] = arguments.run
    if len(runs) == 1 and arguments.name is not None:
        raise UserError("--name is for several runs; one run has the name of its experiment.")
    name = "ensemble" if arguments.name is None else arguments.name
    check_name(name, "--name")

    import_tensorflow()
    from ajl_tf.serving.export import export_ensemble, export_run
    from ajl_tf.serving.sources import Options

    options = Options(
        arguments.tta, not arguments.no_unlike, arguments.cache, arguments.logit_adjustment
    )
    with memory_told(MORE_MEMORY):
        if len(runs) == 1:
            made = export_run(runs[0], arguments.saved_models, arguments.runs, options)
        else:
            made = export_ensemble(runs, arguments.saved_models, arguments.runs, name, options)
    if made.scores is not None:
        print(f"scores       {made.scores}")
    print(f"SavedModel   {made.version}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ajl_tf.export",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "run",
        nargs="+",
        type=Path,
        help="a folder under experiments/runs/; of one with folds, their average is exported, or "
        "its refit if it has one. Several that held out the same photos become an ensemble",
    )
    parser.add_argument("--name", help="of an ensemble (default: ensemble)")
    parser.add_argument(
        "--tta",
        choices=VIEWS,
        help="average the answers to several views of each photo, inside the SavedModel: its eight "
        "flips and quarter turns, or these of the photo and of its middle (16); inference takes as "
        "many times as long. What they score is written beside the runs (default: model.views of "
        "the experiment, with which a run was scored)",
    )
    parser.add_argument(
        "--logit-adjustment",
        type=_strength,
        default=0.0,
        metavar="S",
        help="take S times the log of how common a condition is, among the photos that trained, "
        "off its logit, beyond what the experiment's loss.logit_adjustment took: rare conditions "
        "are answered more often. What that scores is written beside the runs (0 to 2; default: 0)",
    )
    parser.add_argument(
        "--no-unlike",
        action="store_true",
        help="leave out how unlike anything known a photo is; no "
        "photo is then read, unless --tta asks for other views",
    )
    add_folders(parser, "--saved-models", "--runs", "--cache")
    return parser


def _strength(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value <= 2:
        raise argparse.ArgumentTypeError(f"expected a number from 0 to 2, received {text!r}")
    return value


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
