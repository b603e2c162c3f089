"""Pictures larger than those of the training: how well a hole is filled by how much of them is shown.

    python -m benchmarks.study.larger --faces PATH/TO/faces RUN...

One block of 28 pixels is hidden in each of the first pictures that the study holds out, in the size of their
files. Prints a table: hidden PSNR in dB, the mean over pictures, of each run by what is shown of a picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ambientkit import Engine
from ambientkit.baselines import harmonic_fill, telea_fill
from ambientkit.completion import Around
from ambientkit.data import split
from ambientkit.levels import to_float
from ambientkit.recipe import HoldoutRule

HOLE, BATCH, SEED = 28, 8, 0
SHOWN: tuple[Around, ...] = (None, 8, 18, 36, 80, "all")
HELD_OUT = HoldoutRule(one_in=8, first=1000)
Fill = Callable[[Tensor, Tensor], Tensor]


def held_out(faces: Path, count: int) -> Tensor:
    """The first pictures that the study holds out, in their own size: (n, 3, H, W) in [-1, 1]."""
    data = Engine(discover=False).build("dataset", "image_folder", root=str(faces), crop="none")
    _, held = split(data.keys, HELD_OUT)
    return to_float(data.images(held[:count]))


def one_hole_each(images: Tensor) -> Tensor:
    """Bool (n, 1, H, W), False in one block of each picture, wherever it fits."""
    generator = torch.Generator().manual_seed(SEED)
    observed = torch.ones_like(images[:, :1], dtype=torch.bool)
    for seen in observed:
        top, left = (int(torch.randint(side - HOLE + 1, (), generator=generator)) for side in seen.shape[1:])
        seen[:, top : top + HOLE, left : left + HOLE] = False
    return observed


def hidden_psnr(fill: Fill, images: Tensor, observed: Tensor) -> float:
    """Mean over pictures, dB."""
    found = []
    for some, seen in zip(images.split(BATCH), observed.split(BATCH), strict=True):
        error = ((fill(some, seen) - some) / 2).square().mean(1, keepdim=True) * ~seen
        found.append(-10 * torch.log10(error.sum((1, 2, 3)) / HOLE**2))
    return float(torch.cat(found).mean())


def main() -> None:
    """Print a line a run, and one for each fill that needs none."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--faces", type=Path, required=True)
    parser.add_argument("--count", type=int, default=1000)
    options = parser.parse_args()
    images = held_out(options.faces, options.count)
    observed = one_hole_each(images)
    print("| run |", " | ".join("a window" if each is None else str(each) for each in SHOWN), "|")
    print("| --- " * (1 + len(SHOWN)) + "|")
    for folder in options.runs:
        run = Engine().open(folder)
        cells = [hidden_psnr(partial(run.complete, around=each), images, observed) for each in SHOWN]
        print(f"| {folder} |", " | ".join(f"{cell:.2f}" for cell in cells), "|", flush=True)
    for name, fill in (("telea", telea_fill), ("harmonic", harmonic_fill)):
        print(f"{name}: {hidden_psnr(fill, images, observed):.2f} dB")


if __name__ == "__main__":
    main()
