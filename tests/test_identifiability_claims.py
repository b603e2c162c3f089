"""What the sensors' options claim of identifiability, tried on the sensors themselves."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from ambientkit import Context, Engine

ENGINE = Engine(discover=False)


def sensor(kind: str, **options: Any) -> Any:
    return ENGINE.build("measurement", kind, context=Context(image_shape=(1, 8, 8)), **options)


def claim(kind: str, shape: tuple[int, int, int] = (1, 8, 8), **options: Any) -> tuple[str, str] | None:
    made = ENGINE.plugins.require("measurement", kind).component.options(**options)
    return made.identifiability(Context(image_size=shape[-2:], image_shape=shape))


@pytest.mark.parametrize("kind", ["gaussian_noise", "poisson_noise", "salt_pepper", "speckle", "fourier"])
def test_noise_of_a_known_law_and_spectra_are_identified(kind):
    verdict, reason = claim(kind)
    assert verdict == "identified" and reason


def test_salt_and_pepper_is_undone_as_claimed():
    """(law of y - p known) / (1 - p) is the law of x, here of one pixel with three values."""
    law = torch.tensor([0.2, 0.5, 0.3])
    values = torch.tensor([-0.5, 0.0, 0.5])
    x = values[torch.multinomial(law, 60_000, replacement=True, generator=torch.Generator().manual_seed(0))]
    sensed = sensor("salt_pepper", p=0.4, salt=0.7)
    theta = sensed.sample(len(x), (1, 1, 1), torch.Generator().manual_seed(1))
    y = sensed.measure(x.view(-1, 1, 1, 1), theta).flatten()
    found = torch.stack([(y == value).double().mean() for value in values]) / 0.6
    assert (found - law).abs().max() < 0.015
    assert (y == 1).double().mean() == pytest.approx(0.28, abs=0.01)


def test_factorial_moments_of_counts_are_moments_of_rates():
    peak, light = 12.0, torch.tensor([0.25, 0.75])
    x = (2 * light - 1).repeat_interleave(40_000).view(-1, 1, 1, 1)
    sensed = sensor("poisson_noise", peak=peak)
    y = sensed.measure(x, sensed.sample(len(x), (1, 1, 1), torch.Generator().manual_seed(0))).double()
    counts = (y.flatten() + 1) / 2 * peak
    rates = peak * light.double()
    assert (counts * (counts - 1)).mean() == pytest.approx(float(rates.square().mean()), rel=0.02)


@pytest.mark.parametrize(
    "options",
    [{}, {"padding": "reflect"}, {"size": 7}, {"size": 1}, {"kernel": "box", "size": 1}],
)
def test_blurs_that_are_claimed_injective_are(options):
    """The blur as a matrix has no singular value near 0."""
    assert claim("convolve_noise", **options)[0] == "identified"
    blur = sensor("convolve_noise", noise=0.0, **options)
    pixels = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
    zero = torch.zeros(1, 1, 8, 8, dtype=torch.float64)
    theta = blur.sample(64, (1, 8, 8), torch.Generator())
    matrix = blur.measure(pixels, theta) - blur.measure(zero, blur.sample(1, (1, 8, 8), torch.Generator()))
    assert torch.linalg.svdvals(matrix.view(64, 64)).min() > 1e-5


@pytest.mark.parametrize(
    "options",
    [{"kernel": "box"}, {"radius": 4.0}, {"padding": "replicate"}],
)
def test_blurs_of_which_nothing_is_claimed(options):
    assert claim("convolve_noise", **options) is None


def test_a_box_can_lose_a_picture():
    """Why nothing is claimed of it: with zeros about, a 3 x 3 box makes nothing of this line of 5 pixels."""
    blur = sensor("convolve_noise", noise=0.0, kernel="box", size=3)
    line = torch.tensor([1.0, -1.0, 0.0, 1.0, -1.0])
    picture = torch.outer(line, line).view(1, 1, 5, 5)
    assert blur.measure(picture, blur.sample(1, (1, 5, 5), torch.Generator())).abs().max() < 1e-6


@pytest.mark.parametrize(("kind", "options"), [("downsample", {"factor": 2}), ("compressed_sensing", {})])
def test_what_is_mapped_to_nothing_is_not_identified(kind, options):
    assert claim(kind, **options)[0] == "not identified"
    lossy = sensor(kind, **options)
    pixels = torch.eye(64, dtype=torch.float64).view(64, 1, 8, 8)
    y = lossy.measure(pixels, lossy.sample(64, (1, 8, 8), torch.Generator())).flatten(1)
    assert int(torch.linalg.matrix_rank(y)) < 64


def test_matrices_with_as_many_rows_as_columns():
    assert claim("compressed_sensing", ratio=1.0, matrix="subsampled_dct")[0] == "identified"
    assert claim("compressed_sensing", ratio=1.0) is None


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 6, 9)])
def test_a_picture_turned_by_half_a_turn_has_the_projections_of_the_opposite_angles(shape):
    assert claim("pad_rotate_project", shape)[0] == "not identified"
    projector = sensor("pad_rotate_project", angles=2)
    x = torch.rand(5, *shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 2 - 1
    theta = projector.sample(5, shape, torch.Generator().manual_seed(1))
    opposite = {"angle": theta["angle"].double() + math.pi}
    y = projector.measure(x, {"angle": theta["angle"].double()})
    assert (projector.measure(x.flip(-1, -2), opposite) - y).abs().max() < 1e-5
    assert claim("pad_rotate_project_theta", shape) is None


def test_patches_and_levels_and_codecs():
    assert claim("extract_patch", size=8)[0] == "identified"
    assert claim("extract_patch", size=[8, 7]) == (
        "not identified",
        "pixels (0, 0) and (7, 7) are never in one patch",
    )
    assert claim("quantise", levels=8)[0] == "not identified"
    assert claim("quantise", levels=256) is None


@pytest.mark.parametrize("quality", [10, 50, 95, 100])
@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_makes_a_flat_picture_of_one_with_a_pixel_a_level_off(quality, channels):
    assert claim("jpeg", (channels, 8, 8), quality=quality)[0] == "not identified"
    codec = sensor("jpeg", quality=quality)
    flat = torch.full((1, channels, 16, 16), 128 / 127.5 - 1)
    other = flat.clone()
    other[0, 0, 3, 5] += 1 / 127.5
    theta = codec.sample(1, (channels, 16, 16), torch.Generator().manual_seed(0))
    assert torch.equal(codec.measure(flat, theta), codec.measure(other, theta))
