"""Fills that need no training: what each must make of pictures whose hidden part is known."""

import pytest
import torch

from ambientkit.baselines import classical_fills
from ambientkit.streams import stream

FILLS = classical_fills(3, slow=True)
ROUNDED = 2.02 / 127.5  # half a level of 8 bits read, half a level written, and one of OpenCV's arithmetic
HOLE = (slice(None), slice(None), slice(5, 10), slice(6, 12))


@pytest.fixture(scope="module")
def observed():
    seen = torch.ones(2, 1, 16, 20, dtype=torch.bool)
    seen[HOLE] = False
    return seen


def ramp(channels):
    """Planes that rise along both axes, within [-1, 1]."""
    down, along = torch.linspace(-0.4, 0.4, 16)[:, None], torch.linspace(-0.5, 0.5, 20)
    return torch.stack([(down + along) * (1 - channel / 4) for channel in range(channels)]).repeat(2, 1, 1, 1)


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("channels", [1, 3])
def test_what_is_observed_stays_and_what_is_hidden_is_not_looked_at(name, channels, observed):
    y = torch.rand(2, channels, 16, 20, generator=stream(0, "y")) * 2 - 1
    other = torch.where(observed, y, -y)
    filled = FILLS[name](y, observed)
    assert torch.equal(torch.where(observed, filled, 0.0), torch.where(observed, y, 0.0))
    assert torch.equal(FILLS[name](other, observed), filled)
    assert filled.abs().max() <= 1


@pytest.mark.parametrize("name", FILLS)
@pytest.mark.parametrize("level", [-1.0, 0.2, 1.0])
def test_a_picture_of_one_colour_is_filled_with_it(name, level, observed):
    y = torch.where(observed, torch.full((2, 3, 16, 20), level), 0.0)
    assert (FILLS[name](y, observed) - level).abs().max() <= ROUNDED


@pytest.mark.parametrize("name", sorted({"harmonic fill", "biharmonic"} & {*FILLS}))
@pytest.mark.parametrize("channels", [1, 3])
def test_a_plane_is_gone_on_with(name, channels, observed):
    """It solves the Laplace and the biharmonic equation with its own boundary values."""
    x = ramp(channels)
    filled = FILLS[name](torch.where(observed, x, 0.0), observed)
    assert (filled - x).abs().max() <= ROUNDED


def test_the_mean_fill_is_the_mean_of_what_is_observed(observed):
    x = ramp(3)
    filled = FILLS["mean fill"](torch.where(observed, x, 0.0), observed)
    for picture, mine in zip(x, filled, strict=True):
        for channel, own in zip(picture, mine, strict=True):
            assert own[~observed[0, 0]].unique().item() == pytest.approx(
                channel[observed[0, 0]].mean().item(), abs=1e-6
            )
