"""Signals that ask a run to end: they are noted, and the run ends when it can."""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

from ambientkit.errors import Interrupted
from ambientkit.processes import expected, own_rank

ACKNOWLEDGED = (  # with an empty line, since a bar that is drawn anew goes up one
    b"\nStopping after this step, with a checkpoint. Once more ends it at once, without.\n\n"
)

_USR1 = getattr(signal, "SIGUSR1", None)  # what batch systems send before the time is up; not on Windows
_HUP = getattr(signal, "SIGHUP", None)  # the terminal was closed; the same


@contextmanager
def noted() -> Iterator[list[int]]:
    """Collect the signals that ask for an end instead of dying; a second one ends the process at once.

    SIGHUP comes twice when a terminal with a shell in it is closed, so the second one is ignored, for good;
    where the first is, as under nohup, it stays so. Signals reach the main thread only: elsewhere they are
    its owner's business.
    """
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return
    before = {number: signal.getsignal(number) for number in _handled()}
    # torchrun tells its processes twice to end, and ends them for good after half a minute.
    patient = {_HUP, signal.SIGTERM} if expected() > 1 else {_HUP}
    mortal = [stream for stream in (1, 2) if _ends_with_the_terminal(stream)]

    def note(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if number == signal.SIGINT and own_rank() == 0:
            _acknowledge()
        if number == _HUP:
            _into_nothing(mortal)
        for each in before:
            signal.signal(each, signal.SIG_IGN if each in patient else signal.SIG_DFL)

    _handle(dict.fromkeys(before, note))
    try:
        yield asked
    finally:
        _handle(
            {number: handler for number, handler in before.items() if number != _HUP or _HUP not in asked}
        )


@contextmanager
def interrupting() -> Iterator[None]:
    """SIGTERM, SIGUSR1 and SIGHUP interrupt work as Ctrl-C does, so that it can say how far it came.

    Raises Interrupted then. In the main thread alone, and each where nobody else handles or ignores it. A
    second SIGHUP, and what is written to a terminal that is closed, is as in `noted`.
    """
    heard = [
        each for each in (signal.SIGTERM, _USR1, _HUP) if each and signal.getsignal(each) == signal.SIG_DFL
    ]
    if threading.current_thread() is not threading.main_thread():
        heard = []
    asked: list[int] = []
    mortal = [stream for stream in (1, 2) if _ends_with_the_terminal(stream)]

    def stop(number: int, _frame: FrameType | None) -> None:
        asked.append(number)
        if number == _HUP:
            signal.signal(number, signal.SIG_IGN)
            _into_nothing(mortal)
        raise KeyboardInterrupt

    _handle(dict.fromkeys(heard, stop))
    try:
        yield
    except KeyboardInterrupt:
        if asked:
            raise Interrupted(f"Interrupted by {signal.Signals(asked[0]).name}.", asked[0]) from None
        raise
    finally:
        _handle({number: signal.SIG_DFL for number in heard if number != _HUP or _HUP not in asked})


def _handled() -> list[int]:
    heard = _HUP is not None and signal.getsignal(_HUP) != signal.SIG_IGN
    possible = (signal.SIGINT, signal.SIGTERM, _USR1, _HUP if heard else None)
    return [number for number in possible if number is not None]


def _handle(handlers: dict[int, Callable[..., Any] | int | None]) -> None:
    for number, handler in handlers.items():
        signal.signal(number, handler)


def _ends_with_the_terminal(stream: int) -> bool:
    """Whether it is one, or a pipe, whose reader (tee) is likely to end as well."""
    try:
        return os.isatty(stream) or stat.S_ISFIFO(os.fstat(stream).st_mode)
    except OSError:
        return False


def _acknowledge() -> None:
    """To a terminal alone, and past Python's own streams, in the midst of whose work a signal may come."""
    with suppress(OSError):
        if os.isatty(2):
            os.write(2, ACKNOWLEDGED)


def _into_nothing(streams: list[int]) -> None:
    """To write to what is gone is an error, which would end the run before its checkpoint."""
    nothing = os.open(os.devnull, os.O_WRONLY)
    for stream in streams:
        os.dup2(nothing, stream)
    os.close(nothing)
