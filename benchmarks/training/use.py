"""Other things that take time: preparing data, writing a checkpoint, completing pictures."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from PIL import Image

from ambientkit import Engine, hookimpl
from ambientkit.assembly import prepare_data
from ambientkit.completion import Around
from ambientkit.interfaces import RunInfo, StepReport

from . import own
from .peaks import median_seconds
from .pictures import smooth_pictures
from .setting import Setting

CELEBA = (218, 178)  # height and width of the pictures that most people would prepare
LATENCY_BATCHES = (1, 16)
LARGER, HOLE_LARGER = 24, 7


def preparation(setting: Setting, count: int = 1024) -> dict[str, float]:
    """JPEG files to a measured store: pictures a second, and a second of one core."""
    with tempfile.TemporaryDirectory() as folder:
        write_jpegs(Path(folder) / "pictures", count)
        plan = Engine(discover=False).load(_folder_recipe(Path(folder) / "pictures", setting))
        begun, used = time.perf_counter(), time.process_time()
        prepare_data(plan, Path(folder) / "cache")
        seconds, core = time.perf_counter() - begun, time.process_time() - used
    return {
        "pictures": count,
        "pictures_per_second": count / seconds,
        "pictures_per_second_a_core": count / core,
    }


def write_jpegs(folder: Path, count: int) -> None:
    """Pictures of CelebA's size."""
    folder.mkdir()
    for number in range(count):
        picture = smooth_pictures(1, *CELEBA, seed=number)[0].permute(1, 2, 0)
        Image.fromarray(picture.numpy()).save(folder / f"{number:06d}.jpg", quality=90)


def _folder_recipe(folder: Path, setting: Setting) -> Mapping[str, Any]:
    return {
        "recipe": 1,
        "name": "prepared",
        "data": {
            "source": {"kind": "image_folder", "root": str(folder), "crop": "square"},
            "image_size": [setting.size, setting.size],
        },
        "measurement": {"kind": "block_patch", "size": setting.hole, "fill": 1.0},
        "generator": {"kind": "glcic", "width": setting.width},
        "discriminator": {"kind": "dcgan", "width": setting.width},
        "objective": {"kind": "non_saturating"},
        "train": {"steps": 1, "batch_size": 1},
    }


class _Watch:
    """Seconds from each step's end to its checkpoint."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begun = 0.0

    @hookimpl
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """A checkpoint comes next."""
        self._begun = time.perf_counter()

    @hookimpl
    def on_checkpoint(self, run: RunInfo, step: int, folder: Path) -> None:
        """It is written."""
        self.seconds.append(time.perf_counter() - self._begun)


def trained_run(setting: Setting, repeats: int) -> dict[str, Any]:
    """A checkpoint after each of `repeats` steps, then the pictures that such a run completes."""
    with tempfile.TemporaryDirectory() as folder:
        engine, watch = own.engine(folder), _Watch()
        changes = own.completing_changes(setting, steps=repeats, kept_every=1)
        result = engine.run("celeba_block", *changes, callbacks=[watch], **own.where(setting, folder))
        found = {
            "checkpoint_seconds": statistics.median(watch.seconds),
            "checkpoint_megabytes": _megabytes(result.folder / "checkpoints"),
        }
        shown = larger(engine, result.folder, setting)
        return {**found, "completing": completing(engine, result.folder, setting), "larger_seconds": shown}


def larger(engine: Engine, run: Path, setting: Setting) -> dict[str, float]:
    """Seconds of `complete` for a picture LARGER times as high, by what of it the network is shown."""
    trained, side, hole = engine.open(run, device="cpu"), LARGER * setting.size, HOLE_LARGER * setting.hole
    images = smooth_pictures(1, side, side).float() / 127.5 - 1
    observed = torch.ones(1, 1, side, side, dtype=torch.bool)
    observed[..., side // 2 : side // 2 + hole, side // 2 : side // 2 + hole] = False
    shown: dict[str, Around] = {"windows": None, "all": "all"}
    return {
        name: median_seconds(partial(trained.complete, images, observed, around=around))
        for name, around in shown.items()
    }


def _megabytes(folder: Path) -> float:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6


def completing(engine: Engine, run: Path, setting: Setting) -> dict[str, dict[str, float]]:
    """Milliseconds of `complete` and pictures a second, by batch size."""
    trained, found = engine.open(run, device="cpu"), {}
    for batch in LATENCY_BATCHES:
        images = smooth_pictures(batch, setting.size, setting.size).float() / 127.5 - 1
        observed = torch.ones(batch, 1, setting.size, setting.size, dtype=torch.bool)
        observed[..., : setting.hole, : setting.hole] = False
        seconds = median_seconds(lambda: trained.complete(images, observed))  # noqa: B023 - called here
        found[str(batch)] = {"milliseconds": 1000 * seconds, "pictures_per_second": batch / seconds}
    return found
