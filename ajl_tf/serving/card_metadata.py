"""What a model card says of metadata: which, how often unknown, and what they are worth."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ajl_tf.assessment.against import compare_models
from ajl_tf.assessment.pairing import paired
from ajl_tf.assessment.predictions import read_manifest_columns, read_predictions
from ajl_tf.assessment.printed import format_comparison
from ajl_tf.dataset.metadata import learn_columns, unknown_shares
from ajl_tf.runs import MANIFEST, PHOTO_ONLY, PREDICTIONS
from ajl_tf.serving.sources import Source


def metadata_section(sources: Sequence[Source]) -> str:
    """A section of Markdown with its heading, or "" where no run takes metadata."""
    takers = [source for source in sources if source.experiment.model.metadata]
    if not takers:
        return ""
    return "\n\n".join(["## Metadata", _HOW, *map(_run, takers)]) + "\n\n"


_HOW = (
    "Takes, beside the photo, what is recorded of it (`serve_metadata`, `serve_bytes_metadata`: "
    'texts, `""` where unknown). What is missing is unknown, and so is a value that no training '
    "photo had; without any of it (`serving_default`, `serve_bytes`) the photo alone answers. The "
    "answer depends on what was recorded, right or wrong, and on how common each condition was "
    "among the training photos with such a value, which elsewhere may be otherwise. How sure it "
    "says it is was fitted with metadata as recorded."
)


def _run(source: Source) -> str:
    model = source.experiment.model
    table = read_manifest_columns(source.folder / MANIFEST)
    shares = unknown_shares(table, model.metadata)
    columns = learn_columns(table, model.metadata, np.arange(len(table)))
    rows = [
        f"| `{column.name}` | {column.kind} | {_cell(column.words)} | {shares[column.name]:.1%} |"
        for column in columns
    ]
    parts = [
        f"Run `{source.folder.name}`, {len(table):,} photos:",
        "\n".join(["| column | kind | known | unknown |", "|---|---|---|---|", *rows]),
    ]
    if model.tone_columns:
        parts.append(
            f"**{', '.join(model.tone_columns)} tells the skin's tone.** The model answers by the "
            "tone that was recorded for a person: two people with the same lesion may get "
            "different answers, and a wrong or missing annotation changes the answer. Whatever it "
            "is used for, assess it with and without, on each tone."
        )
    pair = paired(
        read_predictions(source.folder / PREDICTIONS),
        read_predictions(source.folder / PHOTO_ONLY),
        PHOTO_ONLY,
    )
    parts.append(
        "The same network with metadata as recorded (first) and by the photo alone (second):\n\n"
        f"```\n{format_comparison(compare_models(pair))}\n```"
    )
    return "\n\n".join(parts)


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
