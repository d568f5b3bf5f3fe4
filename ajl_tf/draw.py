"""Draws a sample set in the competition's layout, to try every command without its data.

The photos are DRAWN by a program: skin of six tones with 21 invented kinds of lesion. A score
measured on them shows that a program works; it proves nothing about dermatology.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

from ajl_tf.errors import run_verb


def main(argv: Sequence[str] | None = None) -> int:
    """Runs `python -m ajl_tf.draw OUT`."""
    parser = argparse.ArgumentParser(
        prog="python -m ajl_tf.draw",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "out",
        type=Path,
        metavar="OUT",
        help="folder to make; an unchanged drawn set in it is replaced",
    )
    parser.add_argument(
        "--images", type=int, default=1000, help="training and test together (default: %(default)s)"
    )
    parser.add_argument(
        "--size",
        type=int,
        default=160,
        help="side in pixels of a square of a photo's area (default: %(default)s)",
    )
    parser.add_argument(
        "--seed",
        type=int,
        default=0,
        help="the same seed draws the same bytes (default: %(default)s)",
    )
    arguments = parser.parse_args(argv)

    from ajl_tf.dataset.phantom import KINDS, draw_set

    started = time.perf_counter()
    out = draw_set(arguments.out, arguments.images, arguments.size, arguments.seed)
    seconds = time.perf_counter() - started
    print(
        f"DRAWN, not photographed: {arguments.images:,} images of {len(KINDS)} invented kinds in "
        f"{out} ({seconds:.1f} s).\n"
        f"They prove nothing about dermatology; {out / 'README.txt'} says what is in the set."
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
