"""What completion networks cost: operations forward, weights, and a step of `folder_held_out` in turns.

    OMP_NUM_THREADS=1 python benchmarks/study/networks.py

Seconds are of a core and not of the clock, medians over turns, so other work does not count.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from ambientkit import Engine, Measured
from ambientkit.machine import choose
from ambientkit.plugins import lifecycle
from ambientkit.preparation import prepare
from ambientkit.trainer import Trainer

NETWORKS = {
    "glcic, width 24": "generator={kind: glcic, width: 24, norm: batch}",
    "resunet, width 24": "generator.width=24",
    "resunet, width 26": "generator.width=26",
    "resunet, width 32": "generator.width=32",
}
TURNS, WARM = 9, 2


def trainer_of(change: str, place: Path) -> Trainer:
    """The recipe with another network, on toy faces."""
    source = ("data.source={kind: toy_faces, count: 200}", "data.holdout=8")
    plan = Engine(discover=False).load("folder_held_out", *source, change)
    return prepare(plan, choose("cpu"), place).trainer(place, lambda _: lifecycle([]), warm=False)


def giga_operations(network: torch.nn.Module) -> float:
    """Of one picture forward; a multiplication with its addition counts as two."""
    picture = Measured(torch.zeros(1, 3, 64, 64), torch.ones(1, 1, 64, 64, dtype=torch.bool))
    with torch.no_grad(), FlopCounterMode(display=False) as counted:
        network(picture, None)
    return counted.get_total_flops() / 1e9


def main() -> None:
    """Print a line a network."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        trainers = {name: trainer_of(change, Path(folder)) for name, change in NETWORKS.items()}
        seconds: dict[str, list[float]] = {name: [] for name in trainers}
        for _ in range(TURNS):
            for name, trainer in trainers.items():
                begun = time.process_time()
                trainer.advance()
                seconds[name].append(time.process_time() - begun)
        for name, trainer in trainers.items():
            network = trainer.game.generator.network
            weights = sum(each.numel() for each in network.parameters())
            step = statistics.median(seconds[name][WARM:])
            print(f"{name}: {giga_operations(network):.3f} GFLOP, {weights / 1e6:.2f} M, {step:.3f} s a step")


if __name__ == "__main__":
    main()
