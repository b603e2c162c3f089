"""Masks that the generator of another run makes."""

from __future__ import annotations

import hashlib
import logging
from pathlib import Path

import torch
from torch import Tensor

from ambientkit import Engine, MaskingMeasurement, TrainedRun
from ambientkit.errors import DataError, InputError, RunFolderError
from ambientkit.interfaces import Shape, Theta

log = logging.getLogger("ambientkit")
LOOKED_AT = 64  # masks, before a generator is taken for one of masks


class LearnedMasks(MaskingMeasurement):
    """Hides where a mask generator is below 0; every picture gets a mask of its own.

    The generator is used as it was trained, averaged and in evaluation mode, on the CPU, and never learns.
    """

    def __init__(self, masks: TrainedRun, fill: float = 0.0) -> None:
        self.masks = masks
        self.fill = fill
        self.fingerprint = _digest(masks)

    @torch.no_grad()
    def sample(self, n: int, image_shape: Shape, generator: torch.Generator) -> Theta:
        """{"observed": bool (n, 1, H, W)}. Raises DataError for pictures of another size than the masks."""
        made = self.masks.image_shape
        if tuple(image_shape[-2:]) != made[-2:]:
            raise DataError(
                f"{self.masks.folder}: makes masks of {made[-2]}x{made[-1]}, and pictures are "
                f"{image_shape[-2]}x{image_shape[-1]}; train it on masks of that size"
            )
        latent_shape = self.masks.network.latent_shape(made)  # type: ignore[operator]
        latent = torch.randn(n, *latent_shape, generator=generator, device=generator.device)
        made_masks: Tensor = self.masks.machine.run(self.masks.network, None, latent.cpu())
        return {"observed": (made_masks >= 0).to(generator.device)}

    def observed(self, theta: Theta, image_shape: Shape) -> Tensor:
        """Bool (n, 1, H, W), as drawn."""
        return theta["observed"]


def _digest(masks: TrainedRun) -> str:
    """Of the mask generator's weights: a run that went on makes other masks."""
    weights = masks.network.state_dict()
    return hashlib.sha256(b"".join(value.cpu().numpy().tobytes() for value in weights.values())).hexdigest()


def open_masks(run: Path, checkpoint: str, fill: float) -> LearnedMasks:
    """The sensor of a run's mask generator.

    Raises DataError where there is no such run, or it makes no pictures of one channel from a latent, or
    none that hides a part.
    """
    try:
        masks = Engine(discover="listed").open(run, checkpoint=checkpoint, device="cpu")
    except (RunFolderError, InputError) as error:
        raise DataError(f"learned_masks: {error}; train masks first (recipes/misgan_masks.yaml)") from error
    if masks.completes or masks.image_shape[0] != 1:
        raise DataError(
            f"{run}: makes no masks: its generator must make pictures of one channel from a latent; "
            "train one on masks_of_incomplete (recipes/misgan_masks.yaml)"
        )
    sensor = LearnedMasks(masks, fill)
    _require_holes(sensor)
    return sensor


def _require_holes(sensor: LearnedMasks) -> None:
    """Raises DataError where of LOOKED_AT masks all hide everything; says where none hides anything.

    That may be right: holes can be rare.
    """
    shape, folder = sensor.masks.image_shape, sensor.masks.folder
    seen = sensor.sample(LOOKED_AT, shape, torch.Generator().manual_seed(0))["observed"]
    if not bool(seen.any()):
        raise DataError(
            f"{folder}: all of {LOOKED_AT} masks that it made hide everything; train it longer, or give "
            "another run or checkpoint"
        )
    if bool(seen.all()):
        log.warning(
            "%s: none of %d masks that it made hides anything; unless holes are so rare, train it longer",
            folder,
            LOOKED_AT,
        )
