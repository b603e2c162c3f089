"""What torchrun tells a process about its fellows, by its environment. Imports no torch."""

from __future__ import annotations

import os
import platform
from pathlib import Path

from ambientkit.errors import InputError


def expected() -> int:
    """How many processes the run has; 1 without torchrun. Raises InputError where only half is said."""
    size = _number("WORLD_SIZE", "1")
    if size > 1 and "RANK" not in os.environ:
        raise InputError(f"WORLD_SIZE is {size}, but RANK is not set; start with torchrun, or unset it")
    return size


def own_rank() -> int:
    """The number of this process among them, from 0."""
    return _number("RANK", "0")


def local_rank() -> int:
    """Its number among those of the same machine: which GPU it takes."""
    return _number("LOCAL_RANK", "0")


def _number(name: str, default: str) -> int:
    text = os.environ.get(name, default)
    if not text.isdecimal():
        raise InputError(f"the environment says {name}={text!r}; torchrun sets it to a number: unset it")
    return int(text)


def restarts() -> int:
    """How often torchrun has started the processes of this machine anew after one of them failed.

    Those of the other machines are started with them, and are not told.
    """
    return _number("TORCHELASTIC_RESTART_COUNT", "0")


def job() -> str | None:
    """The job's name on this machine, None without torchrun.

    torchrun calls every job "none" that was not given an --rdzv-id, and may be given the same one again:
    they are told apart by the machine, the number of the torchrun that started this process, and its start.
    """
    name, parent = os.environ.get("TORCHELASTIC_RUN_ID"), os.getppid()
    if name is None:
        return None
    return f"{name}-{platform.node()}-{parent}-{_started(parent)}"


def _started(process: int) -> str:
    """When a process began, in clock ticks since the machine did; "" where the system does not say."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
