"""Files and folders that are whole or absent, whenever the process ends. Imports no torch.

What is written lies aside as `.NAME.PROCESS-MACHINE-LIFE-COUNT` until it is flushed and renamed. What a
killed process left aside is told by the number of a process that is no more, and `sweep` removes it. What
another machine or container wrote on a shared disk is left alone, until nothing was written to it for a day.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import platform
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

if sys.platform != "win32":  # without: two processes do the same work, and the first to end wins
    import fcntl

_life = os.urandom(4).hex()  # this process, of all that ever have its number
_count = itertools.count()
_SUFFIX = re.compile(r"\.(?P<process>\d+)(-(?P<machine>[0-9a-f]{8})-(?P<life>[0-9a-f]{8})-\d+)?")
LONGEST = 200  # characters of a name that its place aside keeps, of the 255 that a file system takes
DAY = 24 * 3600.0  # seconds after which what another machine left unfinished counts as given up
POLL = 0.1  # seconds between two looks at a lock that another process holds
TRIES = 5  # within one POLL, before a lock counts as held


def aside_of(path: Path) -> Path:
    """Where this process writes what will be `path`: another place at each call, for threads."""
    return path.with_name(f".{path.name[:LONGEST]}.{os.getpid()}-{this_machine()}-{_life}-{next(_count)}")


@cache
def this_machine() -> str:
    """Of this machine since it was started, or of this container: where process numbers are its own."""
    facts = [platform.node()]
    with suppress(OSError):
        facts.append(Path("/proc/sys/kernel/random/boot_id").read_text("ascii"))
        facts.append(str(Path("/proc/self/ns/pid").readlink()))
    return hashlib.sha256("\n".join(facts).encode()).hexdigest()[:8]


def write_text(path: Path, text: str) -> None:
    """Write a file whole or not at all; what is no Unicode (half of a pair) is written as an escape."""
    write_bytes(path, text.encode("utf-8", "backslashreplace"))


def write_bytes(path: Path, data: bytes) -> None:
    """Write a file whole or not at all: aside, flushed, renamed, and its folder flushed."""
    aside = aside_of(path)
    try:
        with aside.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        aside.replace(path)
    except OSError:
        with suppress(OSError):
            aside.unlink()
        raise
    flush(path.parent)


def flush(path: Path) -> None:
    """Send a file, or the list of a folder's entries, to the disk."""
    if sys.platform == "win32":  # has no flush of folders
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def put(aside: Path, final: Path) -> None:
    """Rename a whole folder into place, in the place of what is there.

    A kill between the two renames leaves the new one aside, whole: see `checkpoints.tidy`.
    """
    flush(aside)
    old = aside_of(final.with_name(f"{final.name}.old"))
    if final.exists():
        final.rename(old)
    aside.rename(final)
    flush(final.parent)
    shutil.rmtree(old, ignore_errors=True)


# What is left behind ----------------------------------------------------------------------------


def sweep(folder: Path, pattern: str = ".*", *, spare: Callable[[Path], bool] | None = None) -> None:
    """Remove what dead processes left aside in `folder`, save what `spare` says of."""
    for path in folder.glob(f"{pattern}.*"):
        writer = _SUFFIX.fullmatch(path.suffix)
        if writer and not _in_use(path, **writer.groupdict()) and not (spare and spare(path)):
            remove(path)


def _in_use(path: Path, process: str, machine: str | None, life: str | None) -> bool:
    """Whether a living process has it, or may have, elsewhere; numbers of processes come again."""
    if machine != this_machine():
        return _seconds_since_written(path) < DAY
    return life == _life if int(process) == os.getpid() else alive(int(process))


def _seconds_since_written(path: Path) -> float:
    """Since something was written to the file, or to the folder or what is in it."""
    times = [0.0]
    for each in (path, *path.rglob("*")):
        with suppress(OSError):  # its writer may be done with it just now
            times.append(each.stat().st_mtime)
    return time.time() - max(times)


def remove(path: Path) -> None:
    """Remove a file or a folder with all that is in it, as far as that can be done."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()


def alive(process: int) -> bool:
    """Whether there is such a process here."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


# Locks ------------------------------------------------------------------------------------------


class HeldElsewhereError(Exception):
    """Another process holds the lock."""


@contextmanager
def lock(path: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock `path`; wait for another holder, telling `waiting` once, or raise HeldElsewhereError.

    The system frees the lock of a process that dies. Where a file system has no locks, nobody waits.
    """
    descriptor = _tried(path)
    if descriptor is None and waiting is None:
        raise HeldElsewhereError(str(path))
    if descriptor is None and waiting:
        waiting()
    while descriptor is None:
        time.sleep(POLL)
        descriptor = _try(path)
    try:
        yield
    finally:
        _release(path, descriptor)


def is_held(path: Path) -> bool:
    """Whether another holds the lock `path`; the file that a dead holder left is removed."""
    try:
        with lock(path):
            return False
    except HeldElsewhereError:
        return True


def _tried(path: Path) -> int | None:
    """Of a few tries: who only looks whether it is held is in the way for a moment."""
    for _ in range(TRIES):
        if (descriptor := _try(path)) is not None:
            return descriptor
        time.sleep(POLL / TRIES)
    return None


def holder(path: Path) -> bool | None:
    """Whether somebody holds the lock `path`, which stays as it is; None where there is no knowing."""
    if sys.platform == "win32":
        return None
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False  # who holds it keeps the file
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return False


def _try(path: Path) -> int | None:
    """A descriptor that holds the lock; None where another does, or just took the file away."""
    descriptor = _opened(path)
    if _locked(descriptor) and _is(path, descriptor):
        return descriptor
    os.close(descriptor)
    return None


def _opened(path: Path) -> int:
    """The file, made where it is missing; another user's is opened to read, which a lock does not mind."""
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except PermissionError:
        if not path.exists():
            raise
        return os.open(path, os.O_RDONLY)


def _locked(descriptor: int) -> bool:
    if sys.platform == "win32":
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # a file system without locks
        return True
    return True


def _is(path: Path, descriptor: int) -> bool:
    """Whether `path` is still the file that was opened: its last holder removes it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _release(path: Path, descriptor: int) -> None:
    """Remove the file while the lock is held, so that nobody can hold a lock on a file that is gone."""
    with suppress(OSError):
        path.unlink()
    os.close(descriptor)
    if sys.platform == "win32":  # removes no open file
        remove(path)
