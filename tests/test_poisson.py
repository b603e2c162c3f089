"""The Poisson equation on holes, and what blending makes of it."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ambientkit import blending, poisson
from ambientkit.blending import blended
from ambientkit.blends import BLENDS
from ambientkit.errors import InputError
from ambientkit.poisson import solve_poisson


def neighbours(place, shape):
    for down, right in ((1, 0), (-1, 0), (0, 1), (0, -1)):
        y, x = place[0] + down, place[1] + right
        if 0 <= y < shape[0] and 0 <= x < shape[1]:
            yield y, x


def by_hand(guide, around, observed):
    """Perez et al. 2003, eq. 7, as a dense system: |N| f_p - sum hidden f_q = sum known f_q + sum v_pq."""
    places = list(zip(*np.nonzero(~observed), strict=True))
    rows, right = np.zeros((len(places), len(places))), np.zeros(len(places))
    number = {place: row for row, place in enumerate(places)}
    for place, row in number.items():
        for other in neighbours(place, observed.shape):
            rows[row, row] += 1
            if other in number:
                rows[row, number[other]] -= 1
                right[row] += guide[place] - guide[other]
            else:
                right[row] += around[other]
    solved = around.copy()
    for place, value in zip(places, np.linalg.solve(rows, right), strict=True):
        solved[place] = value
    return solved


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.1, 0.9))
def test_it_is_the_equation(seed, share):
    dice = np.random.default_rng(seed)
    guide, around = dice.uniform(-1, 1, (2, 7, 9))
    observed = dice.random((7, 9)) < share
    observed[3, 4] = True  # something is known, so there is one answer
    found = solve_poisson(*(torch.tensor(each)[None, None] for each in (guide, around, observed)))
    np.testing.assert_allclose(found[0, 0], by_hand(guide, around, observed), atol=2e-3)


def pictures(n=2, channels=3, side=24):
    ramp = torch.linspace(-0.6, 0.6, side)
    whole = (ramp[:, None] + ramp[None, :] * torch.tensor([0.5, -0.5, 0.2])[:channels, None, None]) / 2
    observed = torch.ones(n, 1, side, side, dtype=torch.bool)
    observed[0, :, 6:16, 4:12] = False
    observed[-1, :, :9, 10:] = False  # at the picture's edge
    return whole.expand(n, -1, -1, -1).contiguous(), observed


def test_a_wrong_brightness_is_taken_away():
    whole, observed = pictures()
    y = torch.where(observed, whole, 1.0)
    made = whole + 0.3
    assert (torch.where(observed, y, made) - whole).abs().max() > 0.29
    for blend, rest in (("poisson", 0.05), ("telea+poisson", 0.2)):
        assert (blended(blend, made, y, observed) - whole).abs().max() < rest, blend
    feathered = (blended("feather", made, y, observed) - whole)[0, 0, :, 8]
    assert feathered[6] < feathered[9] < feathered[10], "near the border it is fitted, inside it is as made"


@pytest.mark.parametrize("blend", BLENDS)
def test_observed_pixels_stay_and_hidden_ones_are_not_read(blend):
    whole, observed = pictures()
    made = torch.rand(whole.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    results = []
    for secret in (1.0, -1.0):
        y = torch.where(observed, whole, secret)
        results.append(blended(blend, made, y, observed))
        assert torch.equal(torch.where(observed, results[-1], 0), torch.where(observed, y, 0))
        assert results[-1].abs().max() <= 1
    assert torch.equal(*results)
    elsewhere = torch.where(observed, made.roll(1, 0), made)
    assert torch.equal(blended(blend, elsewhere, y, observed), results[-1]), "made is not read where observed"


@pytest.mark.parametrize("corner", [(20, 31), (0, 0), (52, 52), (0, 30)])
@pytest.mark.parametrize("blend", ["poisson", "feather", "telea+poisson"])
def test_what_lies_far_from_the_holes_is_not_looked_at(blend, corner):
    """The surroundings alone are, and what comes out is what the whole picture gives."""
    generator = torch.Generator().manual_seed(3)
    made, y = (torch.rand(2, 3, 64, 64, generator=generator) - 0.5 for _ in range(2))
    observed = torch.ones(2, 1, 64, 64, dtype=torch.bool)
    observed[:, :, corner[0] : corner[0] + 12, corner[1] : corner[1] + 12] = False
    whole = torch.where(observed, y, blending._BLENDS[blend](made, y, observed).clamp(-1, 1))
    solved, solve = [], poisson._solved
    with mock.patch.object(poisson, "_solved", lambda *parts: solved.append(parts) or solve(*parts)):
        torch.testing.assert_close(blended(blend, made, y, observed), whole, rtol=0, atol=2e-4)
    assert solved and all(part.shape[-1] <= 14 and part.shape[-2] <= 14 for part in solved[0])


def test_blending_nothing_changes_nothing():
    whole, observed = pictures()
    assert torch.equal(blended("none", whole + 1, whole, observed), torch.where(observed, whole, whole + 1))
    everything = torch.ones_like(observed)
    assert torch.equal(blended("poisson", whole + 1, whole, everything), whole)


@pytest.mark.parametrize("blend", ["poisson", "feather"])
def test_what_is_right_stays(blend):
    """A slope that goes on across the border is no step to take away."""
    whole, observed = pictures()
    torch.testing.assert_close(blended(blend, whole, whole, observed), whole, atol=0.02, rtol=0)


@pytest.mark.parametrize("blend", ["poisson", "feather", "telea+poisson"])
def test_texture_at_the_border_stays(blend):
    """Perez's own equation makes the border smooth; here steps that average to 0 along it are kept."""
    observed = torch.ones(4, 1, 48, 48, dtype=torch.bool)
    observed[..., 10:38, 8:36] = False
    texture = 0.2 * torch.randn(4, 3, 48, 48, generator=torch.Generator().manual_seed(1))
    wrong = torch.where(observed, texture, texture + 0.3)
    fitted = blended(blend, wrong, texture, observed)
    steps = (fitted - texture)[..., 10, 8:36]  # what the first hidden row differs by from what was right
    assert steps.mean().abs() < 0.05 and steps.std() < 0.12
    seam, apart = ((fitted[..., row, 8:36] - fitted[..., row - 1, 8:36]).abs().mean() for row in (10, 6))
    assert 0.85 < seam / apart < 1.15
    smooth = solve_poisson(wrong, texture, observed)
    assert (smooth[..., 10, 8:36] - smooth[..., 9, 8:36]).abs().mean() < 0.75 * apart


@pytest.mark.parametrize("width", [1, 2, 4, 9])
def test_both_sides_of_a_stroke_are_fitted(width):
    """Wrong by -0.3 on one side and +0.3 on the other: their mean is 0, and each is a step."""
    observed = torch.ones(1, 1, 32, 32, dtype=torch.bool)
    observed[..., 12 : 12 + width] = False
    y = torch.where(torch.arange(32) < 12 + width / 2, -0.5, 0.5).expand(1, 3, 32, 32)
    fitted = blended("poisson", torch.zeros_like(y), y, observed)
    steps = (fitted[..., 1:] - fitted[..., :-1])[..., 11 : 12 + width]
    assert steps.max() < 0.5 * 1.01 if width == 1 else steps.max() < 1 / (width - 1) + 0.01
    assert (steps > -1e-4).all() and fitted.min() >= -0.5 and fitted.max() <= 0.5


def test_what_cannot_be_blended_is_refused(monkeypatch):
    whole, observed = pictures()
    with pytest.raises(InputError, match="blend 'glue' is not known; use one of none, feather"):
        blended("glue", whole, whole, observed)
    with pytest.raises(InputError, match="1 or 3 channels"):
        blended("telea+poisson", whole[:, :2], whole[:, :2], observed)
    monkeypatch.setattr(blending, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"ambientkit\[evaluate\]"):
        blended("telea+poisson", whole, whole, observed)
