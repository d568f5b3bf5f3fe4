"""The one exception that is a message to the user, and the frame every verb runs in."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

from ajl_tf.process import prepare

EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
EXIT_TERMINATED = 143  # 128 + SIGTERM
EXIT_PIPE = 141  # 128 + SIGPIPE
_LISTED = 20


class UserError(ValueError):
    """Bad input or a machine's limit: what happened, where, what was expected, what to do.

    A verb prints its text without a traceback and exits with 2.
    """


class Terminated(KeyboardInterrupt):
    """SIGTERM, by which clusters end what has used up its time."""


def listed(problems: Sequence[str], limit: int = _LISTED) -> str:
    """Joins problems into an indented list, one a line; past `limit` it only counts them."""
    lines = [f"  - {problem}" for problem in problems[:limit]]
    if len(problems) > limit:
        lines.append(f"  - … and {len(problems) - limit} more")
    return "\n".join(lines)


@contextmanager
def memory_told(remedy: str) -> Iterator[None]:
    """Says what to do where the memory is used up, the computer's or a GPU's.

    Args:
        remedy: A sentence or two.

    Raises:
        UserError: It was.
    """
    try:
        yield
    except _of_memory() as error:
        # TensorFlow calls a full disk an exhausted resource as well.
        if os.strerror(errno.ENOSPC) in str(error):
            raise
        text = " ".join(str(error).split())
        tensor = re.search(r"OOM when allocating tensor with shape\[[\d,]*\]", text)
        what = tensor.group() if tensor else text[:200]  # TensorFlow's own words begin elsewhere
        raise UserError(f"out of memory ({what}). {remedy}") from None


def run_verb(main: Callable[[Sequence[str] | None], int], argv: Sequence[str] | None = None) -> int:
    """Runs a verb's `main`, turning what a user can mend into one message and an exit code.

    Args:
        main: Takes the argument list (None: `sys.argv[1:]`) and returns the exit code.
        argv: Handed to `main`.

    Returns:
        The exit code: `main`'s own, 2 for bad input or a machine's limit, 130 after Ctrl-C, 143
        after SIGTERM, 141 where nobody reads what it prints. What a note says that was added to the
        exception is printed as well.
    """
    prepare()
    try:
        with _sigterm_raises():
            code = main(argv)
            sys.stdout.flush()
            return code
    except BrokenPipeError:
        # Who read what is printed has gone, as `head` does: nobody is left to be told. Python would
        # complain of it once more at its exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_PIPE
    except UserError as error:
        _tell(f"error: {error}", error)
    except Terminated as error:
        _tell("\nterminated: everything already written has been kept.", error)
        return EXIT_TERMINATED
    except KeyboardInterrupt as error:
        _tell("\ninterrupted: everything already written has been kept.", error)
        return EXIT_INTERRUPTED
    except _of_files() as error:
        limit = _machine_limit(error)
        if limit is None:
            raise
        _tell(f"error: {limit}", error)
    return EXIT_BAD_INPUT


def _tell(message: str, error: BaseException) -> None:
    print("\n".join([message, *getattr(error, "__notes__", [])]), file=sys.stderr)


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    """Makes SIGTERM an exception, so that what is half-written is taken back."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may say what a signal does
        return

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _of_files() -> tuple[type[Exception], ...]:
    """What a failed read or write raises; TensorFlow, where it is loaded, has errors of its own."""
    tensorflow = sys.modules.get("tensorflow")
    return (OSError, tensorflow.errors.OpError) if tensorflow else (OSError,)


def _of_memory() -> tuple[type[Exception], ...]:
    tensorflow = sys.modules.get("tensorflow")
    return (MemoryError, tensorflow.errors.ResourceExhaustedError) if tensorflow else (MemoryError,)


def _machine_limit(error: Exception) -> str | None:
    """What to tell the user about an error that the machine's state explains, else None."""
    for number, limit in _MACHINE_LIMITS.items():
        if isinstance(error, OSError):
            found, where = error.errno == number, error.filename
        else:  # TensorFlow gives no number, but "<path>; <the system's words>"
            place = re.search(rf"(?:(\S+); )?{re.escape(os.strerror(number))}", str(error))
            found, where = place is not None, place and place[1]
        if found:
            return f"{limit} ({where})" if where else limit
    return None


_MACHINE_LIMITS = {
    errno.ENOSPC: "the disk is full. Free some space, or write elsewhere, and run the command "
    "again; what was already complete has been kept",
    errno.EDQUOT: "the disk quota is used up. Free some space, or write elsewhere, and run the "
    "command again; what was already complete has been kept",
    errno.EACCES: "no permission to read or write here. Check the owner and mode of the path",
    errno.EROFS: "the file system is read-only. Write elsewhere",
    errno.EEXIST: "a file stands where a folder is needed. Name another folder",
    errno.ENOTDIR: "a file stands where a folder is needed. Name another folder",
    errno.ENAMETOOLONG: "a file's name is too long for the file system. Name a shorter one",
}
