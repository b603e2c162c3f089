"""What every loop is given; no torch here, so that the process that only keeps time stays small."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOGGED_EVERY = 50  # steps between two lines of the log, in every loop that keeps one


@dataclass(frozen=True)
class Setting:
    """The size of the work, and where a loop computes: `threads` and `precision` (fp32 or bf16)."""

    batch: int = 16
    width: int = 64
    size: int = 64
    threads: int = 1
    precision: str = "fp32"

    @property
    def hole(self) -> int:
        """Side of the block that is hidden, 28 of 64 pixels."""
        return self.size * 28 // 64

    @property
    def pictures(self) -> int:
        """How many there are to train on; none is read twice in an epoch."""
        return max(256, 4 * self.batch)

    def to_json(self) -> str:
        """One line, for a worker's command line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Setting:
        """What `to_json` wrote."""
        return Setting(**json.loads(text))
