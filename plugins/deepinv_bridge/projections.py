"""deepinv's operators whose measurements are no pictures, as records."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import torch
from deepinv.physics import (
    MRI,
    CompressedSensing,
    PhaseRetrieval,
    Physics,
    Ptychography,
    RandomPhaseRetrieval,
    Scattering,
    SinglePixelCamera,
    StructuredRandom,
    Tomography,
)
from deepinv.physics.generator import (
    BaseMaskGenerator,
    EquispacedMaskGenerator,
    GaussianMaskGenerator,
    PolyOrderMaskGenerator,
    RandomMaskGenerator,
)
from deepinv.physics.phase_retrieval import build_probe, generate_shifts
from deepinv.physics.scattering import circular_sensors
from torch import Tensor

from ambientkit.interfaces import Shape, Theta

from .operator import Operator
from .projection_options import (
    CompressedSensingOptions,
    MriOptions,
    PhaseRetrievalOptions,
    PhaseRetrievalStructuredOptions,
    PtychographyOptions,
    ScatteringOptions,
    SinglePixelCameraOptions,
    StructuredRandomOptions,
    TomographyFanOptions,
    TomographyOptions,
)

COLUMNS: dict[str, type[BaseMaskGenerator]] = {
    "random": RandomMaskGenerator,
    "gaussian": GaussianMaskGenerator,
    "equispaced": EquispacedMaskGenerator,
    "polynomial": PolyOrderMaskGenerator,
}


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def _tomography(options: TomographyOptions, shape: Shape) -> Tomography:
    return Tomography(options.angles, shape[-1], normalize=options.normalize)


def _fan(options: TomographyFanOptions, shape: Shape) -> Tomography:
    # deepinv's detector, 258 pixels of 0.077, in as many pixels as were asked for.
    parameters = {"n_detector_pixels": options.detectors, "detector_spacing": 258 * 0.077 / options.detectors}
    return Tomography(
        options.angles, shape[-1], normalize=options.normalize, fan_beam=True, fan_parameters=parameters
    )


def _compressed(options: CompressedSensingOptions, shape: Shape) -> CompressedSensing:
    return CompressedSensing(options.rows, shape, channelwise=True, rng=_seeded(options.seed))


def _structured(options: StructuredRandomOptions, shape: Shape) -> StructuredRandom:
    size = (shape[0], options.size, options.size)
    return StructuredRandom(shape, size, n_layers=options.layers, rng=_seeded(options.seed))


def _camera(options: SinglePixelCameraOptions, shape: Shape) -> SinglePixelCamera:
    return SinglePixelCamera(options.shots, shape, ordering=options.ordering)


def _columns(options: MriOptions, n: int, shape: Shape, generator: torch.Generator) -> Theta:
    masks = COLUMNS[options.pattern](
        (1, shape[-1]),
        acceleration=options.acceleration,
        center_fraction=options.center,
        rng=generator,
        device=generator.device,
    )
    return {"columns": masks.step(n)["mask"].reshape(n, shape[-1]).bool()}


def _mri(_options: MriOptions, shape: Shape) -> MRI:
    return MRI(mask=torch.ones(1, 2, *shape[1:]), img_size=shape[1:])


def _spectrum(_options: MriOptions, physics: Physics, pictures: Tensor, parameters: Theta) -> Tensor:
    if pictures.shape[1] == 1:
        pictures = torch.cat([pictures, torch.zeros_like(pictures)], dim=1)
    mask = parameters["columns"].to(pictures.dtype)[:, None, None].expand_as(pictures)
    y: Tensor = physics.A(pictures, mask=mask)
    return y


def _known_columns(theta: Theta) -> Theta:
    return {"columns": theta["columns"]}


def _retrieval(options: PhaseRetrievalOptions, shape: Shape) -> RandomPhaseRetrieval:
    return RandomPhaseRetrieval(options.rows, shape, channelwise=True, rng=_seeded(options.seed))


def _magnitudes(_options: Any, physics: Physics, pictures: Tensor, _parameters: Theta) -> Tensor:
    y: Tensor = physics.A(pictures.to(pictures.dtype.to_complex()))
    return y


def _phases(options: PhaseRetrievalStructuredOptions, shape: Shape) -> PhaseRetrieval:
    angles = 2 * math.pi * torch.rand(options.layers, *shape, generator=_seeded(options.seed))
    transform = partial(torch.fft.fft2, norm="ortho")
    inverse = partial(torch.fft.ifft2, norm="ortho")
    phases = torch.exp(1j * angles)
    return PhaseRetrieval(StructuredRandom(shape, shape, options.layers, transform, inverse, phases))


def _ptychography(options: PtychographyOptions, shape: Shape) -> Ptychography:
    return Ptychography(
        shape,
        probe=build_probe(shape, probe_radius=options.radius),
        shifts=generate_shifts(shape, n_img=options.places**2),
    )


def _scattering(options: ScatteringOptions, shape: Shape) -> Scattering:
    transmitters, receivers = circular_sensors(options.sensors, 1.0)
    return Scattering(shape[-1], receivers, transmitters, background_wavenumber=options.wavenumber)


def _field(options: ScatteringOptions, physics: Physics, pictures: Tensor, _parameters: Theta) -> Tensor:
    waves = physics.A((options.contrast * pictures).to(torch.complex128))
    return torch.stack([waves.real, waves.imag], dim=1)


TOMOGRAPHY = Operator(_tomography)
TOMOGRAPHY_FAN = Operator(_fan)
COMPRESSED_SENSING = Operator(_compressed)
STRUCTURED_RANDOM = Operator(_structured)
SINGLE_PIXEL_CAMERA = Operator(_camera)
MRI_COLUMNS = Operator(_mri, _columns, _spectrum, known=_known_columns)
PHASE_RETRIEVAL = Operator(_retrieval, apply=_magnitudes)
PHASE_RETRIEVAL_STRUCTURED = Operator(_phases, apply=_magnitudes)
PTYCHOGRAPHY = Operator(_ptychography, apply=_magnitudes)
SCATTERING = Operator(_scattering, apply=_field, double=True)
