"""What a verb sets up in its process before TensorFlow is imported."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
import threading

ENDS_WITH_STDIN = "AJL_TF_ENDS_WITH_STDIN"  # set by a process for a verb that must not outlive it


def prepare() -> None:
    """Sets TensorFlow's environment, leaving what the user has set.

    oneDNN's kernels are TensorFlow's default only on some Intel processors; on an AMD EPYC they
    take 0.6 of the time of a fine-tuning step. The log level leaves errors and hides the notes on
    how the library was built.
    """
    if os.environ.pop(ENDS_WITH_STDIN, ""):
        threading.Thread(target=_end_with_stdin, daemon=True).start()
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def _end_with_stdin() -> None:
    """Ends this process at once when the one that holds the other end of the pipe does.

    However that ends, a kill included. What is written appears whole or not at all all the same.
    """
    while os.read(0, 1):
        pass
    os._exit(1)


def import_tensorflow() -> None:
    """Imports TensorFlow, holding back what its libraries print while they load.

    They write a dozen lines on processors and missing GPU drivers whatever the log level says,
    before a verb has said a word. Where the import fails, the lines are shown.
    """
    stderr = os.dup(2)
    sys.stderr.flush()
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            import tensorflow as tf

            tf.config.list_physical_devices()  # looks for a GPU now, and says so
            # It warns that the few networks of a run, each traced once, are one traced again and
            # again. Set after the import, which in a notebook sets a level of its own.
            tf.get_logger().setLevel(logging.ERROR)
        except BaseException:
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
