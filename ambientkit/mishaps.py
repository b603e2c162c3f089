"""What goes wrong outside of the program, in plain words: disks and memory. Imports no torch."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ambientkit.errors import AmbientkitError, RunError

FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FORBIDDEN = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
MEMORY = ("can't allocate memory", "out of memory", "alloc_failed", "not enough memory")

SMALLER = (
    "lower train.batch_size, or raise train.accumulate, which takes the same batch in that many parts; "
    "evaluation.batch_size where it happened while figures were taken. A run with another recipe is a new "
    "one; train.init_from lets it begin with this one's weights"
)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory was asked for and not given: by Python, by torch on the CPU, or by a GPU."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error).lower() for sign in MEMORY)


def remedy(error: OSError) -> str:
    """What to do about a file that could not be written; "" where that depends."""
    if error.errno in FULL:
        return "the disk is full, or the largest size of a file or a quota is reached; make room"
    if error.errno in FORBIDDEN:
        return "it may not be written to; change its permissions, or choose another folder"
    return ""


def explained(error: BaseException, folder: Path | None = None) -> RunError | None:
    """The error in plain words with what to do; None where it is nothing of that kind.

    `folder` is that of the run that was under way.
    """
    if out_of_memory(error):
        first = (str(error).strip() or "MemoryError").splitlines()[0][:200]
        return RunError(f"out of memory ({first}): {SMALLER}")
    if folder is not None and not folder.is_dir() and isinstance(error, OSError | AmbientkitError):
        return RunError(
            f"{folder}: the run folder is gone, it was moved or removed while the run wrote to it; "
            "begin a new run"
        )
    if isinstance(error, OSError) and remedy(error):
        return RunError(f"{error}: {remedy(error)}")
    return None


@contextmanager
def told(folder: Path | None = None) -> Iterator[None]:
    """Raise what is explained as a RunError; all else passes."""
    try:
        yield
    except Exception as error:
        plain = explained(error, folder)
        if plain is None:
            raise
        raise plain from error
