"""What was found, as plain dicts: how much of it, and where to look first.

Each function takes a manifest with `group_id` (`inspection.grouping`) and the table that another
file of this room made, and keeps at most `ROWS` rows of it; the CSVs beside a page hold them all.
"""

from __future__ import annotations

import pandas as pd

from ajl_tf.assessment.groups import BANDS
from ajl_tf.inspection.agreement import tone_agreement
from ajl_tf.inspection.overview import Summary, band_names, tone_names

ROWS = 200
ROWS_AN_ISSUE = 40


def summarise_duplicates(manifest: pd.DataFrame, pairs: pd.DataFrame) -> Summary:
    """Clusters of photos that show the same, those whose labels conflict first.

    Args:
        manifest: With `group_id`.
        pairs: From `inspection.duplicates.find_duplicates`.

    Returns:
        `pairs`: kind -> number; `photos`: in a cluster; `clusters`, of them `conflicting` (more
        than one label) and `across` (photos with and without a label: training and test); `shown`:
        a dict each with `group_id, conflicting, across, similarity` (the least of its pairs, None
        where a `group_id` of the data alone joins it), `changes` (words) and `photos` (`image_id,
        label, tone`).
    """
    rows = manifest[manifest.duplicated("group_id", keep=False)]
    groups = rows.groupby("group_id")
    labels = groups["label"].nunique()
    known = groups["label"].count()
    table = pd.DataFrame(
        {
            "photos": groups.size(),
            "conflicting": labels > 1,
            "across": (known > 0) & (known < groups.size()),
        }
    )
    order = table.assign(id=table.index).sort_values(
        ["conflicting", "across", "photos", "id"], ascending=[False, False, False, True]
    )
    group_of = manifest.set_index("image_id")["group_id"]
    linked = pairs.assign(group_id=pairs["first"].map(group_of)).groupby("group_id")
    similarity = linked["similarity"].min().to_dict()
    changes = linked["change"].unique().to_dict()
    first = order.index[:ROWS]
    members = described(rows.loc[rows["group_id"].isin(first), ["group_id", "image_id"]], manifest)
    photos: dict[str, list[Summary]] = {group_id: [] for group_id in first}
    for member in members:
        photos[member.pop("group_id")].append(member)
    shown = [
        {
            "group_id": group_id,
            "conflicting": bool(table.at[group_id, "conflicting"]),
            "across": bool(table.at[group_id, "across"]),
            "similarity": similarity.get(group_id),
            "changes": [str(change) for change in changes.get(group_id, ()) if change],
            "photos": photos[group_id],
        }
        for group_id in first
    ]
    return {
        "pairs": {str(kind): int(n) for kind, n in pairs["kind"].value_counts().items()},
        "photos": len(rows),
        "clusters": len(table),
        "conflicting": int(table["conflicting"].sum()),
        "across": int(table["across"].sum()),
        "shown": shown,
    }


def summarise_tone(
    manifest: pd.DataFrame, survey: pd.DataFrame, disagreements: pd.DataFrame
) -> Summary:
    """Tone from the pixels against the annotated type.

    Args:
        manifest: The photos.
        survey: Their `ita` and `ita_confidence`.
        disagreements: From `inspection.agreement.tone_disagreements`.

    Returns:
        `photos`; `measured`: with an angle; `columns`: from `inspection.agreement.tone_agreement`;
        `shown`: the least fitting photos.
    """
    return {
        "photos": len(survey),
        "measured": int(survey["ita"].notna().sum()),
        "columns": tone_agreement(survey, manifest),
        "shown": described(disagreements.head(ROWS).drop(columns="skin_tone"), manifest),
    }


def summarise_quality(manifest: pd.DataFrame, issues: pd.DataFrame) -> Summary:
    """Photos with something wrong, by what it is, and by tone: a flag may hit a tone more often.

    Args:
        manifest: The photos that were measured.
        issues: From `inspection.quality.find_issues`.

    Returns:
        `photos`: with any issue; `issues`: `issue, photos, share` each, the most frequent first;
        `bands`: `issue` and for each tone band the share of its photos with it, None where it has
        none; `shown`: rows of `issues` with label and tone, the worst first.
    """
    issues = issues.sort_values("score", ascending=False, kind="stable")
    bands = band_names(manifest)
    sizes = bands.value_counts()
    band_of = dict(zip(manifest["image_id"], bands, strict=True))
    counts = issues["issue"].value_counts()
    by_band = pd.crosstab(issues["issue"], issues["image_id"].map(band_of))
    return {
        "photos": int(issues["image_id"].nunique()),
        "issues": [
            {"issue": str(issue), "photos": int(n), "share": float(n / len(manifest))}
            for issue, n in counts.items()
        ],
        "bands": [
            {
                band: float(row.get(band, 0) / sizes[band]) if band in sizes else None
                for band in BANDS
            }
            | {"issue": str(issue)}
            for issue, row in ((issue, by_band.loc[issue]) for issue in counts.index)
        ],
        "shown": described(issues.groupby("issue").head(ROWS_AN_ISSUE), manifest),
    }


def summarise_doubts(manifest: pd.DataFrame, doubts: pd.DataFrame) -> Summary:
    """Labels that are probably wrong.

    Args:
        manifest: The photos.
        doubts: From `inspection.doubts.label_doubts`.

    Returns:
        `doubts`: how many; `confusions`: `label, suggested, photos`, the
        most frequent first; `shown`: the most doubtful rows.
    """
    confusions = doubts.value_counts(["label", "suggested"]).reset_index(name="photos")
    return {
        "doubts": len(doubts),
        "confusions": records(confusions.head(ROWS_AN_ISSUE)),
        "shown": described(doubts.head(ROWS).drop(columns="label"), manifest),
    }


def summarise_leaks(leaks: pd.DataFrame, statement: str) -> Summary:
    """Groups on more than one side of a split: `statement, groups, photos` and the rows `shown`."""
    return {
        "statement": statement,
        "groups": int(leaks["group_id"].nunique()),
        "photos": int(leaks["image_id"].nunique()),
        "shown": records(leaks.head(ROWS)),
    }


def described(table: pd.DataFrame, manifest: pd.DataFrame) -> list[Summary]:
    """Rows of a table with `image_id`, as `records`, with the photo's `label` and `tone`."""
    photos = manifest[["image_id", "label"]].assign(tone=tone_names(manifest))
    return records(table.merge(photos, on="image_id", how="left"))


def records(table: pd.DataFrame) -> list[Summary]:
    """Rows as dicts of Python's own numbers and strings, None where a value is missing."""
    cells = table.astype(object).where(table.notna(), None)
    return [{str(key): value for key, value in row.items()} for row in cells.to_dict("records")]
