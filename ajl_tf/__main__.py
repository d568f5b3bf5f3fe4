"""`python -m ajl_tf` lists the verbs."""

from __future__ import annotations

import ast
from pathlib import Path

from ajl_tf import __doc__ as about

VERBS = ("download", "draw", "train", "evaluate", "export", "predict", "preview")


def main() -> None:
    """Prints each verb with the first sentence of its own description."""
    folder = Path(__file__).parent
    print(about)
    for verb in VERBS:
        # Read, not imported: this must answer at once.
        text = ast.get_docstring(ast.parse((folder / f"{verb}.py").read_text(encoding="utf-8")))
        summary = (text or "").split("\n\n")[0].split(". ")[0].replace("\n", " ").rstrip(".")
        print(f"  python -m ajl_tf.{verb:<10} {summary}")
    print("\nEach answers --help. For the whole way without any data: make demo")


if __name__ == "__main__":
    main()
