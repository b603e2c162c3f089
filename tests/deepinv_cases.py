"""deepinv's operators with options and pictures that suit tests."""

from importlib.util import find_spec

import ambientkit_plugins.deepinv_bridge as bridge
import pytest
import torch
from ambientkit_plugins.deepinv_bridge.catalogue import KINDS

from ambientkit import Context

needs_deepinv = pytest.mark.skipif(
    find_spec("deepinv") is None, reason="deepinv is not installed (pip install ambientkit[deepinv])"
)

COLOUR, GREY, SQUARE = (2, 8, 10), (1, 8, 12), (2, 8, 8)

# Every operator in its defaults, or as near to them as small pictures allow.
DEFAULTS = {
    "inpainting": ({}, COLOUR),
    "inpainting_gaussian": ({"center": 2}, COLOUR),
    "demosaicing": ({}, (3, 8, 10)),
    "blur_gaussian": ({"size": 5}, COLOUR),
    "blur_motion": ({"size": 5}, COLOUR),
    "blur_diffraction": ({"size": 5, "pupil": 16}, COLOUR),
    "blur_fft": ({"size": 5}, COLOUR),
    "space_varying_blur": ({"size": 5, "terms": 2}, (1, 16, 18)),
    "tiled_blur": ({"tile": 8}, COLOUR),
    "downsampling": ({}, COLOUR),
    "downsampling_random": ({}, (1, 16, 18)),
    "downsampling_matlab": ({}, COLOUR),
    "upsampling": ({}, (2, 7, 9)),
    "decolorize": ({}, (3, 8, 10)),
    "pansharpen": ({"factor": 2}, COLOUR),
    "hyperspectral_unmixing": ({}, COLOUR),
    "spectral_imaging": ({}, COLOUR),
    "haze": ({}, COLOUR),
    "spatial_unwrapping": ({}, COLOUR),
    "tomography": ({"angles": 5}, SQUARE),
    "tomography_fan": ({"angles": 5, "detectors": 20}, SQUARE),
    "compressed_sensing": ({"rows": 20}, COLOUR),
    "structured_random": ({"size": 5}, COLOUR),
    "single_pixel_camera": ({"shots": 20}, (2, 8, 16)),
    "mri": ({}, GREY),
    "phase_retrieval": ({"rows": 20}, COLOUR),
    "phase_retrieval_structured": ({}, COLOUR),
    "ptychography": ({"radius": 3, "places": 2}, (1, 10, 10)),
    "scattering": ({"sensors": 5}, (1, 8, 8)),
    "gaussian_noise": ({}, COLOUR),
    "uniform_gaussian_noise": ({}, COLOUR),
    "uniform_noise": ({}, COLOUR),
    "laplace_noise": ({}, COLOUR),
    "rician_noise": ({}, COLOUR),
    "salt_pepper_noise": ({}, COLOUR),
    "poisson_noise": ({}, COLOUR),
    "poisson_gaussian_noise": ({}, COLOUR),
    "log_poisson_noise": ({}, COLOUR),
    "gamma_noise": ({}, COLOUR),
    "fisher_tippett_noise": ({}, COLOUR),
}

CORNERS = [
    ("inpainting", {"per_channel": True, "noise": 0.1}, COLOUR),
    ("demosaicing", {"noise": 0.1}, (3, 8, 10)),
    ("blur_gaussian", {"size": 3, "isotropic": True, "padding": "valid", "noise": 0.1}, COLOUR),
    ("blur_gaussian", {"size": 3, "padding": "circular"}, (1, 5, 7)),
    ("blur_motion", {"size": 3, "padding": "zeros", "length": 1}, COLOUR),
    ("downsampling", {"filter": "sinc", "noise": 0.1}, COLOUR),
    ("downsampling", {"filter": None, "factor": 3}, COLOUR),
    ("downsampling_matlab", {"antialias": False}, COLOUR),
    ("decolorize", {"weights": "average", "noise": 0.1}, (3, 8, 10)),
    ("spectral_imaging", {"mode": "sd"}, (3, 7, 9)),
    ("spatial_unwrapping", {"mode": "floor", "noise": 0.1}, COLOUR),
    ("tomography", {"angles": 3, "normalize": False, "noise": 1.0}, (1, 7, 7)),
    ("structured_random", {"size": 5, "layers": 2}, COLOUR),
    ("single_pixel_camera", {"shots": 9, "ordering": "zig_zag"}, SQUARE),
    ("single_pixel_camera", {"shots": 9, "ordering": "cake_cutting"}, SQUARE),
    ("single_pixel_camera", {"shots": 9, "ordering": "xy", "noise": 0.1}, SQUARE),
    ("mri", {"pattern": "gaussian", "noise": 0.1}, (2, 6, 12)),
    ("mri", {"pattern": "equispaced"}, (1, 6, 13)),
    ("mri", {"pattern": "polynomial"}, (1, 6, 40)),
    ("gaussian_noise", {"sigma": (0.05, 0.2)}, COLOUR),
    ("poisson_noise", {"gain": (0.05, 0.2)}, COLOUR),
]

BLIND = {"every_pixel_is_sometimes_seen": "the Bayer pattern is the same for every picture"}


def options_of(kind, **options):
    return KINDS[kind](**options)


def built(kind, **options):
    pytest.importorskip("deepinv", reason="deepinv is not installed")
    return bridge._build(options_of(kind, **options), Context())


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=4, shape=COLOUR, seed=1):
    return torch.rand(n, *shape, generator=gen(seed)) * 2 - 1


def unit(images):
    """Pictures in [0, 1], as deepinv has them."""
    return (images + 1) / 2
