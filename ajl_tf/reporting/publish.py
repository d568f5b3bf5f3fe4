"""Builds the page of a report: report.html and its figures, from the numbers of report.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import pandas as pd

from ajl_tf import __version__
from ajl_tf.assessment.glossary import AJL, EGAL
from ajl_tf.assessment.limits import INTENDED_USE, limits
from ajl_tf.assessment.scored import scored
from ajl_tf.errors import UserError
from ajl_tf.pages.folder import check_folder, result_folder
from ajl_tf.pages.page import is_unchanged, write_page
from ajl_tf.pages.photos import SIDE, thumbnail
from ajl_tf.reporting.contents import against_contents, cards, contents
from ajl_tf.reporting.draw import draw
from ajl_tf.reporting.drawings import MOST_CLASSES, MOST_GROUPS
from ajl_tf.reporting.examples import MOST_PHOTOS, MOST_ROWS, differing, mistakes

Json = Any
OVERLAY_SIDE = 800  # px: several pictures beside each other


@dataclass(frozen=True)
class Place:
    """Where a report goes.

    Attributes:
        folder: Of report.json.
        start: What the names of files begin with: nothing in a run's folder, `<name>.` beside a
            CSV.
    """

    folder: Path
    start: str = ""

    @property
    def page(self) -> Path:
        """The page."""
        return self.folder / f"{self.start}report.html"

    @property
    def figures(self) -> Path:
        """The folder of the figures."""
        return self.folder / f"{self.start}figures"


@dataclass(frozen=True)
class Against:
    """A second model.

    Attributes:
        name: Of its run or file.
        comparison: From `assessment.against.compare_models`.
        photos: From `assessment.against.differing_photos`.
        table: Name of the file that holds these photos.
    """

    name: str
    comparison: Json
    photos: pd.DataFrame
    table: str


@dataclass(frozen=True)
class Pictures:
    """Photos that may be shown, and pictures to show in place of some, as image_id -> file."""

    photos: Mapping[str, Path] = field(default_factory=dict)
    overlays: Mapping[str, Path] = field(default_factory=dict)


def check_place(place: Place) -> None:
    """Refuses a place where a page or figures stand that are not an earlier answer.

    Raises:
        UserError: Something there was made or changed by a user.
    """
    if place.page.exists() and not is_unchanged(place.page):
        raise UserError(
            f"{place.page} was not made by this command, or was changed since; nothing was "
            "overwritten. Move it, or name another place."
        )
    check_folder(place.figures)


def publish(
    place: Place,
    title: str,
    report: Json,
    predictions: pd.DataFrame,
    *,
    against: Against | None = None,
    pictures: Pictures | None = None,
) -> None:
    """Writes the page and its figures, over those of an earlier answer.

    Args:
        place: Where.
        title: What was scored: a run's name, a file's name.
        report: From `assessment.report.make_report`.
        predictions: What it was made from, for the single photos.
        against: A second model that it is compared with.
        pictures: Where photos are, to put small copies of some into the page; None shows none.

    Raises:
        UserError: As `check_place`.
    """
    check_place(place)
    wrong, in_all = mistakes(scored(predictions), MOST_PHOTOS if pictures else MOST_ROWS)
    differ = differing(against.photos, MOST_PHOTOS if pictures else MOST_ROWS) if against else []
    with result_folder(place.figures) as folder:
        figures = draw(folder, report, against.comparison if against else None)
    ids = dict.fromkeys(row["image_id"] for row in [*wrong, *differ])
    context = {
        "report": report,
        "figures": figures,
        "comparison": against.comparison if against else None,
        "cards": cards(report, in_all),
        "mistakes": wrong,
        "mistakes_in_all": in_all,
        "differing": differ,
        "differing_in_all": len(against.photos) if against else 0,
        "thumbnails": _small(pictures.photos, ids, SIDE) if pictures else {},
        "overlays": _small(pictures.overlays, ids, OVERLAY_SIDE) if pictures else {},
        "about": _about(place, title, against, pictures),
        "limits": limits(report),
        **contents(report, figures),
        **(against_contents(against.comparison) if against else {}),
    }
    write_page(place.page, "report.html", context)


def _about(
    place: Place, title: str, against: Against | None, pictures: Pictures | None
) -> dict[str, Json]:
    return {
        "title": title,
        "version": __version__,
        "with_images": pictures is not None,
        "against": against.name if against else None,
        "differing": against.table if against else None,
        "numbers": f"{place.start}report.json",
        "figures": place.figures.name,
        "most_classes": MOST_CLASSES,
        "most_groups": MOST_GROUPS,
        "use": INTENDED_USE,
        "egal": EGAL,
        "ajl": AJL,
    }


def _small(files: Mapping[str, Path], wanted: Iterable[str], side: int) -> dict[str, str | None]:
    """Small copies of those files that are wanted and there."""
    known = {image_id: files[image_id] for image_id in wanted if image_id in files}
    with ThreadPoolExecutor() as pool:
        return dict(zip(known, pool.map(thumbnail, known.values(), repeat(side)), strict=True))
