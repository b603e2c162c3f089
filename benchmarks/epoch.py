"""An epoch of `celeba_block` from end to end, on as many made-up pictures as CelebA has.

    python -m benchmarks.epoch --device cuda --batch 64 256 --compile off on

Measuring, the log, the averaged generator and checkpoints are in it, as in any run; figures are not. For each
batch size and way it says pictures a second after the first steps, the share of the peak of convolutions,
which is measured first, and on a GPU what share of a step it stood idle. `--steps` ends it early. The time of
25 epochs is extrapolated from that.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from ambientkit import Component, Context, Dataset, Engine, Options, hookimpl
from ambientkit.interfaces import RunInfo
from ambientkit.machine import choose
from ambientkit.plugins import lifecycle
from ambientkit.preparation import prepare
from ambientkit.recipe import Plan
from ambientkit.trainer import Trainer
from benchmarks.training.peaks import peaks

CELEBA = 202_599
EPOCHS = 25  # of the recipe
WARM_UP = 20  # steps before the clock is started: compiling and recording are told apart
PROFILED = 20
SIDE = 64


class NoiseOptions(Options):
    """Pictures of noise, made as they are asked for."""

    count: int
    """How many."""


class Noise(Dataset):
    """uint8 pictures (3, 64, 64), of the same few numbers each time."""

    image_shape = (3, SIDE, SIDE)

    def __init__(self, count: int) -> None:
        self.keys = [f"{number:07d}" for number in range(count)]
        self.fingerprint = f"noise {count}"
        self._pool = torch.randint(
            0, 256, (997, *self.image_shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
        )

    def images(self, indices: Sequence[int]) -> Tensor:
        """The pictures at `indices`."""
        return self._pool[torch.tensor(indices) % len(self._pool)]


class Plugin:
    """The data set as `epoch/noise`."""

    AMBIENTKIT_HOOK_API = 1
    namespace = "epoch"

    @hookimpl
    def register_datasets(self) -> Iterable[Component]:
        """It."""
        yield Component("noise", NoiseOptions, self._build)

    @staticmethod
    def _build(options: NoiseOptions, _context: Context) -> Noise:
        return Noise(options.count)


class Clock:
    """Notes when the run began, when its first steps were done, and when all were."""

    def __init__(self, device: str) -> None:
        self._device = device
        self.times: dict[int, float] = {}

    @hookimpl
    def on_step_end(self, run: RunInfo, report: Any) -> None:
        """The GPU is waited for at two steps alone."""
        if report.step in (WARM_UP, run.total_steps):
            synchronize(self._device)
            self.times[report.step] = time.perf_counter()


def synchronize(device: str) -> None:
    """Wait until all is done that was asked for."""
    if device == "cuda":
        torch.cuda.synchronize()


def changes(batch: int, steps: int, pictures: int, width: int) -> list[str]:
    """What `celeba_block` needs for it."""
    return [
        f"data.source={{kind: epoch/noise, count: {pictures}}}",
        "data.holdout=0",
        "metrics=[]",
        "callbacks=[{kind: jsonl, every: 50}]",
        f"generator.width={width}",
        f"discriminator.width={width}",
        "train.epochs=null",
        f"train.steps={steps}",
        f"train.batch_size={batch}",
        "train.checkpoints.best=null",
    ]


def epoch(engine: Engine, how: dict[str, str], plan: Plan, out: Path) -> dict[str, float]:
    """Seconds to the end of the first steps, data and compiling in them; pictures a second after these."""
    clock, begun = Clock(how["device"]), time.perf_counter()
    engine.run(plan, out=out, callbacks=[clock], **how)  # type: ignore[arg-type]
    first, last = clock.times.values()
    timed = plan.recipe.train.steps - WARM_UP  # type: ignore[operator]
    return {
        "seconds_to_steady": first - begun,
        "steps": timed,
        "ms_a_step": 1000 * (last - first) / timed,
        "pictures_a_second": timed * plan.recipe.train.batch_size / (last - first),
        "seconds_in_all": time.perf_counter() - begun,
    }


def flop_of(plan: Plan, how: dict[str, str], place: Path) -> int:
    """FLOPs of a step, as it is."""
    trainer = _trainer(plan, {**how, "compile": "off"}, place)
    with FlopCounterMode(display=False) as counter:
        trainer.advance()
    return int(counter.get_total_flops())


def at_work(plan: Plan, how: dict[str, str], place: Path) -> dict[str, float]:
    """How long kernels ran in a step, and what share of it the GPU stood idle."""
    trainer = _trainer(plan, how, place)
    for _ in range(WARM_UP):
        trainer.advance()
    synchronize("cuda")
    with profile(activities=[ProfilerActivity.CUDA]) as watch:
        begun = time.perf_counter()
        for _ in range(PROFILED):
            trainer.advance()
        synchronize("cuda")
        wall = time.perf_counter() - begun
    busy = sum(event.self_device_time_total for event in watch.key_averages()) / 1e6
    return {"idle_share": 1 - busy / wall, "kernel_ms_a_step": 1000 * busy / PROFILED}


def _trainer(plan: Plan, how: dict[str, str], place: Path) -> Trainer:
    machine = choose(how["device"], how["precision"], how["compile"])
    return prepare(plan, machine, place / "cache").trainer(place, lambda _: lifecycle([]), warm=False)


def row(
    engine: Engine, given: argparse.Namespace, batch: int, how: dict[str, str], peak: float, place: Path
) -> dict[str, float]:
    """The figures of a batch size and a way."""
    steps = max(given.steps or given.pictures // batch, WARM_UP + 1)
    plan = engine.load("celeba_block", *changes(batch, steps, given.pictures, given.width))
    found = epoch(engine, how, plan, place)
    flop = flop_of(plan, how, place)
    if how["device"] == "cuda":
        found |= at_work(plan, how, place)
    return {
        **found,
        "gflop_a_step": flop / 1e9,
        "share_of_peak": flop / (found["ms_a_step"] / 1000) / peak,
        "minutes_of_25_epochs_extrapolated": EPOCHS * CELEBA / found["pictures_a_second"] / 60,
    }


def measured(given: argparse.Namespace) -> dict[str, Any]:
    """Everything that was asked for."""
    precision = "bf16" if choose(given.device, given.precision).bf16 else "fp32"
    peak = peaks([precision], given.shrink_peaks, device=given.device)
    card = torch.cuda.get_device_name() if given.device == "cuda" else "CPU"
    found: dict[str, Any] = {"hardware": card, "torch": torch.__version__, "precision": precision}
    found["peaks"] = peak
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        engine = Engine([Plugin()], discover=False, cache_dir=place / "cache")
        for batch, way in product(given.batch, given.compile):
            how = {"device": given.device, "precision": precision, "compile": way}
            name = f"batch {batch}, compile {way}"
            found[name] = row(engine, given, batch, how, peak[f"convolution {precision}"], place)
            print(json.dumps({name: found[name]}), flush=True)
    return found


def main() -> int:
    """Measure, print, and keep it where that was asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16"], default="auto")
    parser.add_argument("--pictures", type=int, default=CELEBA)
    parser.add_argument("--batch", type=int, nargs="+", default=[64])
    parser.add_argument("--compile", choices=["on", "off"], nargs="+", default=["off"])
    parser.add_argument("--steps", type=int, help=f"else those of an epoch; {WARM_UP + 1} at least")
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--shrink-peaks", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help="keep the figures as JSON")
    given = parser.parse_args()
    found = measured(given)
    if given.out:
        given.out.write_text(json.dumps(found, indent=1), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
