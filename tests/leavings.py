"""What other processes left aside, as their names would be."""

from __future__ import annotations

from pathlib import Path

from ambientkit.durable import this_machine

DEAD = 2**22 + 7  # no process has such a number
ELSEWHERE = "0123abcd"


def left_by(process: int, path: Path, where: str | None = None) -> Path:
    """The place aside of `path` that another process has: of this machine, unless `where` names another."""
    return path.with_name(f".{path.name}.{process}-{where or this_machine()}-0badc0de-0")
