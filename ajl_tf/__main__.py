"""`python -m ajl_tf` lists the verbs."""

from __future__ import annotations

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

from ajl_tf import __doc__ as about
from ajl_tf.errors import UserError, run_verb

VERBS = (
    "download",
    "draw",
    "explore",
    "train",
    "evaluate",
    "explain",
    "export",
    "predict",
    "preview",
    "tune",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Prints each verb with the first sentence of its own description."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in VERBS:
        raise UserError(f"type a dot, not a space: python -m ajl_tf.{' '.join(words)}")
    if words and words[0] not in ("-h", "--help"):
        raise UserError(f"python -m ajl_tf lists the commands. Received: {words[0]!r}")
    folder = Path(__file__).parent
    print(about)
    for verb in VERBS:
        # Read, not imported: this must answer at once.
        text = ast.get_docstring(ast.parse((folder / f"{verb}.py").read_text(encoding="utf-8")))
        summary = (text or "").split("\n\n")[0].split(". ")[0].replace("\n", " ").rstrip(".")
        print(f"  python -m ajl_tf.{verb:<10} {summary}")
    print("\nEach answers --help. For the whole way without any data: make demo")
    return 0


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
