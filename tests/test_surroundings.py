"""Smooth first guesses, and the network that adds to them."""

from __future__ import annotations

import pytest
import torch
from ambientkit_plugins.resunet.network import ResUNet
from ambientkit_plugins.surroundings import pulled_and_pushed
from hypothesis import given, settings
from hypothesis import strategies as st

from ambientkit import Measured


def holes(seed, n=2, height=12, width=17, share=0.4):
    generator = torch.Generator().manual_seed(seed)
    y = torch.rand(n, 3, height, width, generator=generator) * 2 - 1
    observed = torch.rand(n, 1, height, width, generator=generator) < share
    return y, observed


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 40), st.integers(2, 40), st.floats(0.01, 0.99))
def test_what_is_observed_stays_and_the_rest_lies_between(seed, height, width, share):
    y, observed = holes(seed, 1, height, width, share)
    observed[0, 0, 0, 0] = True
    filled = pulled_and_pushed(torch.where(observed, y, torch.nan), observed)
    seen = observed.expand_as(y)
    assert torch.equal(filled[seen], y[seen])
    for channel in range(3):
        known = y[0, channel][observed[0, 0]]
        assert filled[0, channel].min() >= known.min() - 1e-5
        assert filled[0, channel].max() <= known.max() + 1e-5


def test_measurements_beyond_the_range_of_pictures_are_no_infinite_logits():
    """Noise, or kept pixels that are divided by what was kept, go beyond [-1, 1]."""
    y, observed = holes(3, height=8, width=8)
    made = ResUNet(3, width=4, depth=2, from_surroundings=True)(Measured(40 * y, observed), None)
    assert bool(torch.isfinite(made).all()) and float(made.detach().abs().max()) <= 1


def test_a_constant_is_continued_and_near_pixels_count_more():
    observed = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    observed[..., 8:24, 8:24] = False
    flat = torch.full((1, 1, 32, 32), 0.3)
    assert torch.allclose(pulled_and_pushed(torch.where(observed, flat, 9.0), observed), flat, atol=1e-6)
    halves = torch.where(torch.arange(32) < 16, -0.5, 0.5).expand(1, 1, 32, 32)
    filled = pulled_and_pushed(halves, observed)[0, 0, 15]
    assert filled[8] < -0.3 and filled[23] > 0.3 and abs(float(filled[15] + filled[16])) < 0.1


def test_without_an_observed_pixel_it_is_grey():
    y, observed = holes(0)
    assert (pulled_and_pushed(y, torch.zeros_like(observed)) == 0).all()


def network(**options):
    return ResUNet(3, width=8, depth=2, from_surroundings=True, **options)


def test_the_network_begins_at_the_guess_and_reads_nothing_hidden():
    y, observed = holes(1, 2, 16, 16, 0.6)
    made = network()(Measured(y, observed), None).detach()
    guess = pulled_and_pushed(y, observed)
    assert (made - guess).abs().mean() < 0.1
    model = network().eval()
    other = torch.where(observed, y, 5.0)
    assert torch.equal(model(Measured(y, observed), None), model(Measured(other, observed), None))


def test_white_and_black_surroundings_leave_room_to_learn():
    y = torch.ones(1, 3, 16, 16)
    observed = torch.ones(1, 1, 16, 16, dtype=torch.bool)
    observed[..., 4:12, 4:12] = False
    model = network()
    (model(Measured(y, observed), None) - 0.2).square().mean().backward()
    assert model.layers[-1].weight.grad.abs().max() > 1e-4


@pytest.mark.parametrize("seen", [None, "all"])
def test_without_a_mask_it_takes_what_was_measured(seen):
    model = network(mask_channel=False).eval()
    y, observed = holes(2, 2, 16, 16)
    if seen is None:
        plain = ResUNet(3, width=8, depth=2, mask_channel=False).eval()
        plain.load_state_dict(model.state_dict())
        assert torch.equal(model(Measured(y), None), plain(Measured(y), None))
    else:
        made = model(Measured(y, torch.ones_like(observed)), None)
        assert torch.isfinite(made).all()
