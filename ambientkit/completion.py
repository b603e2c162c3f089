"""Apply a trained run: complete measurements, or generate images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ambientkit import checkpoints
from ambientkit.assembly import build_network
from ambientkit.blending import blended
from ambientkit.blends import Blend, require_blend
from ambientkit.draws import draw_latent
from ambientkit.errors import InputError
from ambientkit.interfaces import Context, Measured, Shape
from ambientkit.machine import Machine
from ambientkit.recipe import Plan
from ambientkit.windows import Window, windows

Around = int | Literal["all"] | None
LEAST_SHOWN = 4  # part of a training picture's side that is shown beside any hole
LATENTS = 64  # drawn at a time: a draw's values may depend on how many are drawn together


@dataclass(frozen=True)
class TrainedRun:
    """The generator of a run, with what its training says about its inputs."""

    network: nn.Module
    machine: Machine
    image_shape: Shape
    fill: float | None
    folder: Path
    composite: bool = True
    measured_shape: Shape | None = None
    sees_masks: bool = False  # its generator was always shown which pixels are observed
    known_shapes: Mapping[str, Shape] = field(default_factory=dict)  # of what its sensor reports
    white_is_known: bool = False  # in the mask files that it was trained with; else white is hidden

    @property
    def completes(self) -> bool:
        """Whether the generator completes measurements (True) or makes images from a latent alone."""
        return bool(getattr(self.network, "completes", True))

    @property
    def needs_masks(self) -> bool:
        """Whether nothing can be completed without saying what is hidden."""
        return self.composite or self.sees_masks

    @torch.no_grad()
    def complete(
        self,
        images: Tensor,
        observed: Tensor | None = None,
        *,
        known: Mapping[str, Tensor] | None = None,
        samples: int | None = None,
        seed: int = 0,
        blend: Blend = "none",
        around: Around = None,
    ) -> Tensor:
        """Fill what is not observed, those pixels kept bit for bit; without `composite`, restore all.

        `images` float (n, C, H, W) in [-1, 1], any H and W, with as many channels as the sensor's
        measurements have; what is hidden in them is never read.
        `observed` bool (n, 1 or C, H, W); a run that says `composite: false`, and whose generator was
        not shown what its sensor hides, can do without.
        `known` is what the instrument reported, (n, ...) by name, for generators that read it.
        Returns (n, C, H, W), or (samples, n, C, H, W) with `samples` different fills where the
        generator takes a latent. `blend` fits what was made to its surroundings. Of a picture
        larger than those of the training the network is shown a window around each hole, about as
        large as those, for that is what it knows; or so many pixels `around` each hole; or `all`.

        Raises InputError when the run does not complete images, or shapes or types do not fit.
        """
        self._require_completion(images, samples)
        self.require_blend(blend)
        if observed is not None:
            self._require_mask(images, observed)
        elif self.needs_masks:
            raise InputError(
                f"{self.folder}: this run must know which pixels are observed; say it with `observed`"
            )
        self._require_pictures(images, observed)
        self._require_known(len(images), known)
        self.require_around(around)
        keep = observed if self.composite else None
        measured = Measured(images, observed, dict(known) if known else None)
        shown = self._windows(images, keep, around)
        fills = []
        for number in range(samples or 1):
            if shown is None:
                made = self._made(measured, self._latents(images, seed, number))
            else:
                made = self._made_around(measured, shown, seed, number)
            fills.append(made if keep is None else blended(blend, made, images, keep))
        return torch.stack(fills) if samples is not None else fills[0]

    def require_completing(self) -> None:
        """Raises InputError where the run's generator makes new images."""
        if not self.completes:
            raise InputError(f"{self.folder}: its generator makes new images; use `generate`, not `complete`")

    def require_blend(self, blend: Blend) -> None:
        """Raises InputError where there is no such way to blend, or no border: nothing measured is kept."""
        require_blend(blend)
        if blend != "none" and not self.composite:
            makes = "restores whole pictures" if self.completes else "makes new pictures"
            raise InputError(f"{self.folder}: this run {makes}; there is no border to blend")

    def require_around(self, around: Around) -> None:
        """Raises InputError where every pixel is made, which leaves nothing to look around, or below 1."""
        if around is None or around == "all":
            return
        if not self.composite:
            raise InputError(f"{self.folder}: this run makes whole pictures anew; leave out `around`")
        if not isinstance(around, int) or around < 1:
            raise InputError(f"around is {around!r}; give the pixels beside a hole, 1 or more, or 'all'")

    @torch.no_grad()
    def generate(self, n: int, *, seed: int = 0) -> Tensor:
        """`n` new images (n, C, H, W) in [-1, 1]; image i depends on (seed, i) alone, not on `n`.

        Raises InputError when the run completes images instead, or n is below 1.
        """
        if self.completes:
            raise InputError(
                f"{self.folder}: its generator completes pictures; use `complete`, not `generate`"
            )
        if n < 1:
            raise InputError(f"cannot generate {n} images; ask for 1 or more")
        images = []
        for start in range(0, n, LATENTS):
            latent = self._latent(LATENTS, self.image_shape, seed, start)
            latent = None if latent is None else latent[: n - start]
            images.append(self.machine.run(self.network, None, latent).clamp(-1, 1).cpu())
        return torch.cat(images)

    def _made(self, measured: Measured, latent: Tensor | None) -> Tensor:
        """What the network makes of pictures, clamped to [-1, 1], where they are and of their type."""
        made = self.machine.run(self.network, self.machine.send(self._padded(measured)), latent)
        height, width = measured.y.shape[-2:]
        return made[..., :height, :width].clamp(-1, 1).to(measured.y)

    def _windows(self, images: Tensor, observed: Tensor | None, around: Around) -> list[list[Window]] | None:
        """What the network is shown of each picture; None where it is all."""
        height, width = self.image_shape[-2:]
        small = images.shape[-2] <= height and images.shape[-1] <= width
        if observed is None or around == "all" or (around is None and small):
            return None
        beside, least = (around, (0, 0)) if around else (min(height, width) // LEAST_SHOWN, (height, width))
        return [windows(~seen, beside, self._multiple, least) for seen in observed.all(1)]

    def _made_around(
        self, measured: Measured, shown: Sequence[Sequence[Window]], seed: int, number: int
    ) -> Tensor:
        """The pictures, and what the network makes of the windows that it is shown."""
        assert measured.observed is not None
        made = measured.y.clone()
        for row, some in enumerate(shown):
            one = slice(row, row + 1)
            known = {name: value[one] for name, value in (measured.known or {}).items()}
            for window in some:
                place = (one, slice(None), *window.place)
                part = Measured(measured.y[place], measured.observed[place], known or None)
                latents = self._latents(measured.y[:, *place[1:]], seed, number)
                made[place] = self._made(part, None if latents is None else latents[one])
        return made

    def _latents(self, images: Tensor, seed: int, number: int) -> Tensor | None:
        """One for each of the pictures, as large as the network is shown them."""
        *shape, height, width = images.shape[1:]
        padded = (-(-side // self._multiple) * self._multiple for side in (height, width))
        return self._latent(len(images), (*shape, *padded), seed, number)

    def _latent(self, n: int, shape: Shape, seed: int, number: int) -> Tensor | None:
        return draw_latent(self.network, shape, n, seed, ("use", number), self.machine)  # type: ignore[arg-type]

    @property
    def _multiple(self) -> int:
        return int(getattr(self.network, "multiple", 1))

    def _padded(self, measured: Measured) -> Measured:
        """What the network is shown: hidden pixels rendered, and as many added as its size asks for.

        What is added at the right and at the bottom counts as hidden.
        """
        y, observed = measured.y, measured.observed
        fill = self.fill or 0.0
        height, width = y.shape[-2:]
        room = (0, -width % self._multiple, 0, -height % self._multiple)
        if observed is not None:
            y, observed = torch.where(observed, y, fill), functional.pad(observed, room, value=False)
        return Measured(functional.pad(y.float(), room, value=fill), observed, measured.known)

    def _require_completion(self, images: Tensor, samples: int | None) -> None:
        self.require_completing()
        channels = (self.measured_shape or self.image_shape)[0]
        if not isinstance(images, Tensor):
            raise InputError(f"images are a {type(images).__name__}; give a torch tensor in [-1, 1]")
        if images.dim() != 4 or images.shape[1] != channels:
            raise InputError(f"images have shape {tuple(images.shape)}; this run takes (n, {channels}, H, W)")
        if not images.is_floating_point():
            raise InputError(f"images must be float in [-1, 1], not {images.dtype}")
        if samples is not None and samples < 1:
            raise InputError(f"cannot make {samples} fills; ask for 1 or more")
        if samples is not None and self._latent(1, self.image_shape, 0, 0) is None:
            raise InputError(
                f"{self.folder}: its generator takes no latent, so all fills are equal; leave out `samples`"
            )

    def _require_pictures(self, images: Tensor, observed: Tensor | None) -> None:
        """What is observed is finite, and in the range that pictures have."""
        seen = images if observed is None else torch.where(observed, images, 0.0)
        if not bool(torch.isfinite(seen).all()):
            raise InputError(
                "images hold NaN or infinity where they are observed; such pixels are hidden ones"
            )
        if self.composite and seen.numel() and float(seen.abs().max()) > 1.01:
            raise InputError(
                f"images go up to {float(seen.abs().max()):.4g}; they must be in [-1, 1]: divide 8 bits by "
                "127.5 and subtract 1"
            )

    def _require_known(self, n: int, known: Mapping[str, Tensor] | None) -> None:
        """All that the run's sensor reports, or nothing."""
        if known is None:
            return
        wanted = {name: (n, *shape) for name, shape in self.known_shapes.items()}
        found = {
            name: tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
            for name, value in known.items()
        }
        if found != wanted:
            raise InputError(f"known has the shapes {found}; this run's sensor reports {wanted}")

    def _require_mask(self, images: Tensor, observed: Tensor) -> None:
        if not isinstance(observed, Tensor):
            raise InputError(f"observed is a {type(observed).__name__}; give a bool tensor (n, 1, H, W)")
        fits = observed.dim() == 4 and observed.shape[1] in (1, self.image_shape[0])
        if not fits or observed.shape[::2] != images.shape[::2] or observed.shape[-1] != images.shape[-1]:
            raise InputError(f"observed has shape {tuple(observed.shape)}; images have {tuple(images.shape)}")
        if observed.dtype != torch.bool:
            raise InputError(f"observed must be bool, not {observed.dtype}")


def open_run(
    folder: Path, plan: Plan, record: Mapping[str, Any], checkpoint: str | int, machine: Machine
) -> TrainedRun:
    """The generator of a checkpoint, as it is used: averaged and in evaluation mode.

    Raises RunFolderError when the checkpoint is missing, damaged or does not fit.
    """
    shape, measured = tuple(record["image_shape"]), tuple(record["measured_shape"])
    known = {name: tuple(each) for name, each in record["known_shapes"].items()}
    context = Context((shape[-2], shape[-1]), shape, measured, known, facts=plan.facts)
    network = build_network(plan, plan.generator, context)
    path = checkpoints.find(folder, checkpoint)
    checkpoints.load_network(path, checkpoints.inference_weights(path), network)
    machine.place(network).eval()
    fill = record.get("hidden_mean") if record["fill"] is None else record["fill"]
    masks = "measurement:observed" in plan.facts and "ignores_masks" not in (plan.generator.facts() or ())
    return TrainedRun(
        network,
        machine,
        shape,
        fill,
        folder,
        plan.recipe.composite,
        measured,
        sees_masks=masks,
        white_is_known=_white_is_known(plan),
        known_shapes=known,
    )


def _white_is_known(plan: Plan) -> bool:
    """Whether the recipe said so of its masks: `invert` of the data, or `hidden: black` of the sensor."""
    source, sensors = plan.source.resolved(), plan.measurement.all() if plan.measurement else ()
    if source["kind"] == "incomplete" and source["invert"]:
        return True
    drawn = (sensor.resolved() for sensor in sensors)
    return any(each["kind"] == "mask_from_data" and each["hidden"] == "black" for each in drawn)
