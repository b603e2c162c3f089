"""What the API is asked for, in plain words where it cannot be meant. Imports no torch."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TypeVar

from ambientkit.errors import InputError

T = TypeVar("T")
_training = threading.RLock()  # a callback may train another run; a second thread may not


def _unlocked() -> None:
    global _training  # noqa: PLW0603 - in a child of fork nobody trains yet
    _training = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_unlocked)


@contextmanager
def alone_in_process() -> Iterator[None]:
    """One thread trains at a time: torch keeps random states and computed weights for a whole process.

    Raises InputError in a second one.
    """
    lock = _training
    if not lock.acquire(blocking=False):
        raise InputError(
            "another run is being trained in this process, by another thread, and they would disturb each "
            "other; use processes (subprocess, multiprocessing, or the command line)"
        )
    try:
        yield
    finally:
        lock.release()


def folder_of(run: Path | str) -> Path:
    """The place of a run. Raises InputError for what is none."""
    if not isinstance(run, str | PathLike):
        raise InputError(f"a run is given by its folder, such as 'runs/quickstart/0001-seed0', not {run!r}")
    return Path(run)


def as_list(name: str, given: Iterable[T], what: str) -> list[T]:
    """The things of a list. Raises InputError for one that stands alone, and for a text."""
    if isinstance(given, str | PathLike) or not isinstance(given, Iterable):
        raise InputError(f"{name} is {given!r}; give a list of {what}, such as [{given!r}]")
    return list(given)


def metric_names(metrics: Sequence[str] | None) -> list[str] | None:
    """Names of metrics; None asks for all. Raises InputError for what is none."""
    if metrics is None:
        return None
    names = as_list("metrics", metrics, "names")
    for name in names:
        if not isinstance(name, str):
            raise InputError(f"metrics holds {name!r}; give names alone, such as 'hidden_psnr'")
    return [str(name) for name in names]
