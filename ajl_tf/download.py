"""Downloads the competition's data from Kaggle into a folder (data/ unless told otherwise).

Needs `pip install "ajl_tf[kaggle]"`, a Kaggle account that has accepted the competition's rules,
and its token in KAGGLE_API_TOKEN, in KAGGLE_USERNAME and KAGGLE_KEY, or below ~/.kaggle/. Nothing
in the folder is overwritten. Without a token: download the zip in a browser and put it there.
"""

from __future__ import annotations

import argparse
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path

from ajl_tf.errors import UserError, run_verb

COMPETITION = "bttai-ajl-2025"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the verb; see the module docstring."""
    parser = argparse.ArgumentParser(
        "python -m ajl_tf.download",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("data"), help="folder (default: data)")
    parser.add_argument(
        "--competition", default=COMPETITION, help=f"its name on Kaggle (default: {COMPETITION})"
    )
    arguments = parser.parse_args(argv)
    out: Path = arguments.out
    _refuse_taken(out, ["train.csv", "test.csv"])
    copy = _fetch(arguments.competition, out)
    names = _place(copy, out)
    print(f"{out} now holds {', '.join(names)}.")
    print(f"kagglehub keeps its own copy in {copy}; delete that to free the space.")
    print(f"Next: python -m ajl_tf.train experiments/efficientnet_lite0.toml --data {out}")
    return 0


def _fetch(competition: str, out: Path) -> Path:
    """Downloads through kagglehub, or says why that is not possible and what to do.

    No text of kagglehub's own errors is passed on: it may hold signed addresses.
    """
    try:
        import kagglehub
        from kagglehub import exceptions
        from requests import HTTPError, RequestException
    except ModuleNotFoundError as error:
        raise UserError(
            f"The package {error.name!r} is not installed. Install it with\n"
            f'  pip install "ajl_tf[kaggle]"\n{_by_hand(competition, out)}'
        ) from None
    try:
        return Path(kagglehub.competition_download(competition))
    except exceptions.UnauthenticatedError:
        reason = "You are not logged in to Kaggle."
    except HTTPError as error:
        reason = _refusal(
            competition, None if error.response is None else error.response.status_code
        )
    except RequestException as error:
        raise UserError(
            f"Kaggle could not be reached ({type(error).__name__}). Check the network or the proxy "
            f"and run the command again.\n{_by_hand(competition, out)}"
        ) from None
    except exceptions.DataCorruptionError:
        raise UserError("The download arrived damaged. Run the command again.") from None
    except (  # of the resolvers that it has for Kaggle's and Colab's own notebooks
        exceptions.BackendError,
        exceptions.ColabEnvironmentError,
        exceptions.CredentialError,
        exceptions.KaggleEnvironmentError,
        exceptions.NotFoundError,
    ) as error:
        raise UserError(
            f"this notebook's own way to Kaggle's data failed ({type(error).__name__}). Attach the "
            f"competition {competition!r} to the notebook and name its folder, or try again.\n"
            f"{_by_hand(competition, out)}"
        ) from None
    except ValueError:
        raise UserError(
            "kagglehub cannot use the login or the name. Either kaggle.json (in ~/.kaggle, or in "
            "KAGGLE_CONFIG_DIR) is not as Kaggle made it, or there can be no competition "
            f"{competition!r}.\n{_log_in(competition)}"
        ) from None
    raise UserError(f"{reason}\n{_log_in(competition)}\n{_by_hand(competition, out)}")


def _refusal(competition: str, status: int | None) -> str:
    if status == 401:
        return "Kaggle does not accept the token (401): it is mistyped, expired or withdrawn."
    if status == 403:
        return (
            f"Kaggle refuses the data (403): this account has not accepted the rules of "
            f"{competition}, or the token is not valid."
        )
    if status == 404:
        return f"Kaggle knows no competition {competition!r} (404). Check --competition."
    return f"Kaggle answered with an error ({status}). Try again later."


def _log_in(competition: str) -> str:
    return (
        "To log in:\n"
        "  1. Make an account at https://www.kaggle.com, or sign in.\n"
        f"  2. Accept the rules at https://www.kaggle.com/competitions/{competition}/rules\n"
        "  3. Create a token at https://www.kaggle.com/settings/api and put it into the\n"
        "     environment variable KAGGLE_API_TOKEN or the file ~/.kaggle/access_token (or one of\n"
        "     the older kind into KAGGLE_USERNAME and KAGGLE_KEY, or ~/.kaggle/kaggle.json).\n"
        "  4. Run this command again."
    )


def _by_hand(competition: str, out: Path) -> str:
    return (
        f"Or by hand: open https://www.kaggle.com/competitions/{competition}/data in a browser, "
        f"click 'Download All' and put {competition}.zip into {out}/; it is read as it is."
    )


def _refuse_taken(out: Path, names: Sequence[str]) -> None:
    if taken := [name for name in names if (out / name).exists()]:
        raise UserError(
            f"{out} already holds {', '.join(taken)}; nothing was overwritten. Use it as it is "
            f"(--data {out}), or name another folder with --out."
        )


def _place(copy: Path, out: Path) -> list[str]:
    """Copies what was downloaded into `out`, all of it or nothing; gives the names."""
    names = sorted(path.name for path in copy.iterdir())
    _refuse_taken(out, names)
    out.mkdir(parents=True, exist_ok=True)
    temporary = out / f".download-{secrets.token_hex(4)}"
    try:
        shutil.copytree(copy, temporary)
        for name in names:
            (temporary / name).rename(out / name)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return names


if __name__ == "__main__":
    raise SystemExit(run_verb(main))
