"""Says in the log who is waited for, when a call takes long; it never ends the call."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

log = logging.getLogger("ambientkit")
PATIENCE = 30.0
"""Seconds until a call is named."""


@contextmanager
def watched(what: str, patience: float | None = None) -> Iterator[None]:
    """Warn, once, when what is inside takes longer than `patience` seconds (None: `PATIENCE`).

    A thread of its own does so, since the one that is watched may never come back.
    """
    seconds = PATIENCE if patience is None else patience
    timer = threading.Timer(seconds, _tell, (what, seconds, threading.get_ident()))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _tell(what: str, seconds: float, thread: int) -> None:
    where = _place(sys._current_frames().get(thread))
    log.warning("%s has not come back for %g s; the run waits for it%s", what, seconds, where)


def _place(frame: FrameType | None) -> str:
    return f" (at {frame.f_code.co_filename}:{frame.f_lineno})" if frame else ""
