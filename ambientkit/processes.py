"""What torchrun tells a process about its fellows, by its environment. Imports no torch."""

from __future__ import annotations

import os


def expected() -> int:
    """How many processes the run has; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def own_rank() -> int:
    """The number of this process among them, from 0."""
    return int(os.environ.get("RANK", "0"))


def local_rank() -> int:
    """Its number among those of the same machine: which GPU it takes."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def restarted() -> str | None:
    """The job's name where torchrun has started its processes anew after one failed, else None."""
    again = int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0
    return job() if again else None


def job() -> str | None:
    """The job's name, None without torchrun."""
    return os.environ.get("TORCHELASTIC_RUN_ID")
