"""ambientkit's own loop, from a recipe, by the public API: data, log, averaged generator and all."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from ambientkit import Engine, hookimpl
from ambientkit.interfaces import RunInfo, StepReport

from . import tutorial_networks
from .setting import LOGGED_EVERY, Setting
from .turns import Turns

ENDLESS = 10**9
TUTORIAL = ("generator.kind=tutorial/dcgan", "discriminator.kind=tutorial/dcgan")


class _AfterEachStep:
    def __init__(self, turns: Turns) -> None:
        self._turns = turns

    @hookimpl
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """The turn may be over."""
        self._turns.stepped()


def completing(setting: Setting, turns: Turns) -> None:
    """GLCIC, one update of each player a step."""
    _train("celeba_block", completing_changes(setting), setting, turns)


def sharing(setting: Setting, turns: Turns) -> None:
    """The same with one pass of the generator for both players: less arithmetic, and another game."""
    changes = [*completing_changes(setting), "train.share_forward=true"]
    _train("celeba_block", changes, setting, turns)


def generating(setting: Setting, turns: Turns) -> None:
    """AmbientGAN with the built-in DCGAN, whose kernels are 5x5."""
    _train("ambientgan/celeba_block_pixels", generating_changes(setting), setting, turns)


def tutorial(setting: Setting, turns: Turns) -> None:
    """AmbientGAN with deepinv's networks, whose kernels are 4x4, and one pass for both players, as there."""
    changes = [*generating_changes(setting), *TUTORIAL, "train.share_forward=true"]
    _train("ambientgan/celeba_block_pixels", changes, setting, turns)


def completing_changes(setting: Setting, steps: int = ENDLESS, kept_every: int = ENDLESS) -> list[str]:
    """What `celeba_block` needs to be trained on drawn faces, one update of each player a step."""
    return [
        *_changes(setting, steps),
        f"measurement.size={setting.hole}",
        f"generator.width={setting.width}",
        f"discriminator.width={setting.width}",
        "metrics=[]",
        f"train.checkpoints.every={kept_every}",
        "train.checkpoints.best=null",
        "train.epochs=null",
    ]


def generating_changes(setting: Setting) -> list[str]:
    """The same for AmbientGAN: half of the pixels hidden, least squares, batch norm in both networks."""
    return [
        *_changes(setting, ENDLESS),
        "measurement={kind: block_pixels, p: 0.5, per: pixel, fill: 0.0}",
        "objective={kind: lsgan}",
        f"train.checkpoints.every={ENDLESS}",
        f"generator.width={setting.width}",
        f"discriminator.width={setting.width}",
    ]


def _changes(setting: Setting, steps: int) -> list[str]:
    return [
        f"data.source={{kind: toy_faces, count: {setting.pictures}}}",
        f"data.image_size=[{setting.size}, {setting.size}]",
        "data.holdout=0",
        f"train.steps={steps}",
        f"train.batch_size={setting.batch}",
        "train.generator_updates=1",
        f"callbacks=[{{kind: jsonl, every: {LOGGED_EVERY}}}]",
    ]


def _train(recipe: str, changes: list[str], setting: Setting, turns: Turns) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = engine(folder).run
        run(recipe, *changes, callbacks=[_AfterEachStep(turns)], **where(setting, folder))


def engine(folder: str) -> Engine:
    """With the built-ins and the tutorial's networks, and a cache below `folder`."""
    return Engine([tutorial_networks], discover=False, cache_dir=Path(folder) / "cache")


def where(setting: Setting, folder: str) -> dict[str, Any]:
    """Where a run computes and writes."""
    return {"out": Path(folder) / "runs", "device": "cpu", "precision": setting.precision}
