"""Writes an exploration into a folder: the page, every number, and the tables as CSVs."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd
from markupsafe import Markup

from ajl_tf.files import atomic_path, write_text
from ajl_tf.inspection.drawings import draw_cells, draw_measures, draw_sizes, draw_tones
from ajl_tf.inspection.exploration import Exploration
from ajl_tf.inspection.overview import Summary
from ajl_tf.inspection.summaries import ROWS_AN_ISSUE
from ajl_tf.pages.page import write_page
from ajl_tf.pages.photos import thumbnail

# How many photos a page holds, so that it stays a few megabytes whatever the data.
SHOWN = {
    "clusters_with_photos": 40,
    "photos_a_cluster": 6,
    "photos_an_issue": 12,
    "photos_of_tone": 24,
    "photos_of_doubts": 60,
    "samples": 1000,
    "rows_an_issue": ROWS_AN_ISSUE,
}
MEASURES = {
    "brightness": "brightness",
    "highlights": "brightest parts",
    "contrast": "contrast",
    "sharpness": "sharpness",
    "clipped": "part cut off",
    "could_be_skin": "part that could be skin",
}


def publish(folder: Path, exploration: Exploration, about: Summary) -> None:
    """Writes explore.html, explore.json, figures/ and the CSVs into an empty folder.

    Args:
        folder: Exists.
        exploration: What was found.
        about: `title`, `sources` (texts), `made`, `version`, and `with_images`: whether small
            copies of photos go into the page.
    """
    findings = exploration.findings
    about = {**about, **SHOWN}
    figures = _draw(folder / "figures", exploration)
    thumbnails = _thumbnails(exploration) if about["with_images"] else {}
    context = {**findings, "about": about, "figures": figures, "thumbnails": thumbnails}
    write_page(folder / "explore.html", "explore.html", context | {"cards": cards(findings)})
    numbers = {"about": about, **findings}
    text = json.dumps(numbers, indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / "explore.json", text + "\n")
    manifest = exploration.manifest
    labelled = manifest["label"].notna()
    tables = {"manifest": manifest[labelled] if labelled.any() else manifest}
    if labelled.any() and not labelled.all():
        tables["unlabelled"] = manifest[~labelled].drop(columns="label")
    for name, table in {**tables, **exploration.tables}.items():
        with atomic_path(folder / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False, lineterminator="\n")


def cards(findings: Summary) -> list[tuple[str, str, str, str]]:
    """What to know at a glance: value, words, the section it leads to, and how bad it is."""
    counts, files, duplicates = findings["counts"], findings["files"], findings["duplicates"]
    unreadable, issues = len(files["unreadable"]), findings["quality"]["photos"]
    cells = len(counts["empty"]) + len(counts["thin"])
    found = [
        (counts["photos"], "photos", "there", ""),
        (len(counts["labels"]), "conditions", "there", ""),
        (cells, "empty or thin cells of condition and tone", "there", "look"),
        (unreadable, "photos that cannot be read", "there", "bad"),
        (issues, "photos with an issue of quality", "quality", "look"),
        (duplicates["clusters"], "clusters of duplicates", "duplicates", "look"),
        (duplicates["across"], "clusters across training and test", "duplicates", "bad"),
        (duplicates["conflicting"], "clusters with conflicting labels", "duplicates", "bad"),
    ]
    if findings["doubts"]:
        found.append((findings["doubts"]["doubts"], "labels in doubt", "doubts", "look"))
    if findings["leaks"]:
        found.append((findings["leaks"]["groups"], "groups that leak", "splits", "bad"))
    return [(f"{n:,}", words, section, kind if n else "") for n, words, section, kind in found]


def _draw(folder: Path, exploration: Exploration) -> dict[str, Markup]:
    """Writes the figures and returns those of the page by name."""
    findings, photos = exploration.findings, exploration.photos
    draw_cells(folder, findings["counts"])  # for slides; the page has a table that sorts
    drawn = {
        "sizes": draw_sizes(folder, exploration.manifest, photos, findings["files"]),
        "tone": draw_tones(folder, findings["tone"]["columns"]),
        "quality": draw_measures(folder, photos, MEASURES),
    }
    return {name: drawing for name, drawing in drawn.items() if drawing is not None}


def _thumbnails(exploration: Exploration) -> dict[str, str | None]:
    """Small copies of the photos that the page shows."""
    findings = exploration.findings
    quality = pd.DataFrame(findings["quality"]["shown"], columns=["image_id", "issue"])
    clusters = findings["duplicates"]["shown"][: SHOWN["clusters_with_photos"]]
    doubts = findings["doubts"]["shown"] if findings["doubts"] else []
    rows = [
        *findings["samples"][: SHOWN["samples"]],
        *findings["tone"]["shown"][: SHOWN["photos_of_tone"]],
        *(p for cluster in clusters for p in cluster["photos"][: SHOWN["photos_a_cluster"]]),
        *doubts[: SHOWN["photos_of_doubts"]],
    ]
    wanted = [row["image_id"] for row in rows]
    wanted += quality.groupby("issue").head(SHOWN["photos_an_issue"])["image_id"].tolist()
    path_of = dict(zip(exploration.manifest["image_id"], exploration.manifest["path"], strict=True))
    ids = list(dict.fromkeys(wanted))
    with ThreadPoolExecutor() as pool:
        return dict(zip(ids, pool.map(thumbnail, (path_of[i] for i in ids)), strict=True))
