"""What a process needs as the number of pictures grows: measuring them all, and training from the store.

    python benchmarks/memory.py --pictures 1000000

Pictures of 8x8 are made up as they are asked for. Anonymous memory is what the process holds: a name and
an index a picture, no more. The store is a memory map, which the system drops when it needs the room.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ambientkit import Component, Context, Dataset, Engine, Options, hookimpl
from ambientkit.machine import choose
from ambientkit.preparation import prepare

STEPS = 200
RECIPE = {
    "recipe": 1,
    "name": "many",
    "measurement": {"kind": "block_patch", "size": 3},
    "further": {"measurement": {"kind": "block_patch", "size": 3}},
    "generator": {"kind": "resunet", "width": 2, "depth": 1},
    "fidelity": [{"kind": "held_out"}],
    "train": {"steps": STEPS, "batch_size": 16},
}


class ManyOptions(Options):
    """Pictures of noise, made up as they are asked for."""

    count: int
    """How many."""


class Many(Dataset):
    """uint8 pictures (3, 8, 8), each a function of its index."""

    image_shape = (3, 8, 8)

    def __init__(self, count: int) -> None:
        self.keys = [f"{number:07d}" for number in range(count)]
        self.fingerprint = f"many {count}"

    def images(self, indices: Sequence[int]) -> Tensor:
        """The pictures at `indices`."""
        seeds = np.asarray(indices, np.uint64)[:, None] * np.arange(1, 193, dtype=np.uint64)
        return torch.from_numpy((seeds % 251).astype(np.uint8).reshape(-1, 3, 8, 8))


class Plugin:
    """The data set as `many/pictures`."""

    AMBIENTKIT_HOOK_API = 1
    namespace = "many"

    @hookimpl
    def register_datasets(self) -> Iterable[Component]:
        """It."""
        yield Component("pictures", ManyOptions, self._build)

    @staticmethod
    def _build(options: ManyOptions, _context: Context) -> Many:
        return Many(options.count)


def anonymous() -> float:
    """MB that the process holds itself, as Linux says it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("RssAnon")).split()[1]) / 1024


def needed(pictures: int) -> dict[str, Any]:
    """Anonymous MB before, at each fifth of the measuring, and after each fifth of the steps."""
    seen: dict[str, Any] = {"pictures": pictures, "measuring": [], "training": []}

    def note(_what: str, done: int, total: int) -> None:
        if done * 5 // total > len(seen["measuring"]):
            seen["measuring"].append(round(anonymous(), 1))

    engine = Engine(plugins=[Plugin()], discover=False)
    source = {"kind": "many/pictures", "count": pictures}
    plan = engine.load({**RECIPE, "data": {"source": source, "image_size": [8, 8], "holdout": 16}})
    seen["before"] = round(anonymous(), 1)
    with tempfile.TemporaryDirectory() as place:
        prepared = prepare(plan, choose("cpu", "fp32"), Path(place), note)
        trainer = prepared.trainer(Path(place), lambda _: engine_hooks(), warm=False)
        for step in range(1, STEPS + 1):
            trainer.advance()
            if step % (STEPS // 5) == 0:
                seen["training"].append(round(anonymous(), 1))
    return seen


def engine_hooks() -> Any:
    """No callbacks."""
    from ambientkit.plugins import lifecycle

    return lifecycle([])


def main() -> int:
    """Print what was needed, as JSON."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pictures", type=int, default=200_000)
    print(json.dumps(needed(parser.parse_args().pictures), indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
