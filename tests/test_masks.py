"""The masking sensors: laws of their holes, and what they refuse."""

import pytest
import torch
from ambientkit_plugins.masks import register_measurements
from ambientkit_plugins.masks.options import (
    BlockPatchOptions,
    IdentityOptions,
    KeepPatchOptions,
    MasksOfDataOptions,
)
from ambientkit_plugins.masks.sensors import BlockPatch, Identity, KeepPatch, MasksOfData, masks_in
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ambientkit import Context
from ambientkit.errors import DataError

HIDDEN = torch.zeros(5, 1, 8, 6, dtype=torch.bool)
for _i in range(5):
    HIDDEN[_i, :, _i : _i + 3, 1:4] = True


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def sensors():
    return {
        "identity": Identity(),
        "block": BlockPatch((3, 2), fill=-0.5),
        "blocks": BlockPatch((2, 2), fill=0.25, count=3),
        "keep": KeepPatch((4, 3), fill=1.0),
        "data": MasksOfData(HIDDEN, fill=0.0),
    }


@pytest.mark.parametrize("name", sensors())
def test_observed_pixels_are_exact_and_hidden_ones_hold_the_fill(name):
    sensor = sensors()[name]
    images = torch.rand(40, 3, 8, 6, generator=gen(1)) * 2 - 1
    theta = sensor.sample(40, (3, 8, 6), gen())
    y, seen = sensor.measure(images, theta), sensor.observed(theta, (3, 8, 6))
    assert seen.shape == (40, 1, 8, 6)
    assert seen.dtype == torch.bool
    seen = seen.expand_as(y)
    assert torch.equal(y[seen], images[seen])
    if sensor.fill is not None:
        assert (~seen).any()
        assert torch.equal(y[~seen], torch.full_like(y[~seen], sensor.fill))
    else:
        assert seen.all()


@pytest.mark.parametrize("name", sensors())
def test_hidden_pixels_do_not_leak_even_if_nan(name):
    sensor = sensors()[name]
    theta = sensor.sample(10, (3, 8, 6), gen())
    seen = sensor.observed(theta, (3, 8, 6)).expand(10, 3, 8, 6)
    images = torch.zeros(10, 3, 8, 6).masked_fill(~seen, float("nan")).requires_grad_()
    y = sensor.measure(images, theta)
    assert y.isfinite().all()
    (gradient,) = torch.autograd.grad(y.sum(), images)
    assert torch.equal(gradient, seen.float())


@pytest.mark.parametrize("name", sensors())
def test_a_batch_equals_its_pictures_one_by_one(name):
    sensor = sensors()[name]
    images = torch.rand(12, 3, 8, 6, generator=gen(2))
    theta = sensor.sample(12, (3, 8, 6), gen(3))
    whole = sensor.measure(images, theta)
    for i in range(12):
        alone = {key: value[i : i + 1] for key, value in theta.items()}
        assert torch.equal(sensor.measure(images[i : i + 1], alone), whole[i : i + 1])


@pytest.mark.parametrize("name", sensors())
def test_draws_come_from_the_generator_alone(name):
    sensor = sensors()[name]
    before = torch.random.get_rng_state()
    first, second = (sensor.sample(50, (3, 8, 6), gen(7)) for _ in range(2))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first
    assert all(torch.equal(first[key], second[key]) for key in first)
    if sensor.random:
        other = sensor.sample(50, (3, 8, 6), gen(8))
        assert any(not torch.equal(first[key], other[key]) for key in first)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.data())
def test_every_offset_occurs_both_ends_included(height, width, data):
    size = (data.draw(st.integers(1, height)), data.draw(st.integers(1, width)))
    corner = BlockPatch(size).sample(2000, (1, height, width), gen())["corner"]
    assert corner.shape == (2000, 1, 2)
    assert corner.dtype == torch.int64
    assert set(corner[:, 0, 0].tolist()) == set(range(height - size[0] + 1))
    assert set(corner[:, 0, 1].tolist()) == set(range(width - size[1] + 1))


def test_corners_are_uniform_and_rows_independent_of_columns():
    corner = BlockPatch((28, 28)).sample(40_000, (3, 32, 32), gen())["corner"][:, 0]
    counts = torch.bincount(corner[:, 0] * 5 + corner[:, 1], minlength=25).double()
    chi_squared = ((counts - 1600).square() / 1600).sum()
    assert chi_squared < 51.2  # 24 degrees of freedom, one in a thousand


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(0, 1000))
def test_observed_is_the_union_of_the_blocks(count, seed):
    sensor = BlockPatch((3, 2), count=count)
    theta = sensor.sample(6, (1, 9, 7), gen(seed))
    expected = torch.ones(6, 1, 9, 7, dtype=torch.bool)
    for i, corners in enumerate(theta["corner"].tolist()):
        for top, left in corners:
            expected[i, :, top : top + 3, left : left + 2] = False
    assert torch.equal(sensor.observed(theta, (1, 9, 7)), expected)
    if count == 1:
        kept = KeepPatch((3, 2)).observed(theta, (1, 9, 7))
        assert torch.equal(kept, ~expected)


def test_masks_of_data_draws_each_mask_whatever_the_picture():
    sensor = MasksOfData(HIDDEN)
    theta = sensor.sample(500, (3, 8, 6), gen())
    assert set(theta["index"].tolist()) == set(range(5))
    assert torch.equal(sensor.observed(theta, (3, 8, 6)), ~HIDDEN[theta["index"]])


def test_sizes_that_do_not_fit_are_data_errors():
    with pytest.raises(DataError, match="28x28 does not fit into a picture of 16x32"):
        BlockPatch((28, 28)).sample(1, (3, 16, 32), gen())
    with pytest.raises(DataError, match="masks are 8x6, but the pictures are 16x16"):
        MasksOfData(HIDDEN).sample(1, (3, 16, 16), gen())
    with pytest.raises(DataError, match="bring no masks"):
        masks_in(Context())


def messages(options, size):
    return [(c.field, c.message, c.warning) for c in options.complaints(Context(image_size=size))]


def test_complaints_of_blocks():
    assert not messages(BlockPatchOptions(), (64, 64))
    assert not messages(BlockPatchOptions(size=14), (28, 28))
    assert not messages(BlockPatchOptions(), None)
    assert messages(BlockPatchOptions(size=65), (64, 64))[0][:2] == (
        "size",
        "a window of 65x65 does not fit into a picture of 64x64",
    )
    ((_, hides_all, warning),) = messages(BlockPatchOptions(size=(32, 64)), (32, 64))
    assert "hides the whole picture" in hides_all
    assert not warning
    ((_, middle, warning),) = messages(BlockPatchOptions(size=36), (64, 64))
    assert "the middle 8x8" in middle
    assert warning


def test_the_middle_that_a_large_block_hides_is_as_said():
    sensor = BlockPatch((36, 36))
    seen = sensor.observed(sensor.sample(4000, (1, 64, 64), gen()), (1, 64, 64)).any(0)[0]
    assert (~seen).sum() == 8 * 8
    assert not seen[28:36, 28:36].any()


def test_complaints_of_windows():
    ((_, nothing, warning),) = messages(KeepPatchOptions(size=32), (32, 32))
    assert "hides nothing" in nothing
    assert warning
    assert messages(KeepPatchOptions(size=33), (32, 32))[0][2] is False


@pytest.mark.parametrize("bad", [{"size": 0}, {"fill": 1.5}, {"count": 0}, {"size": [1, 2, 3]}, {"sizes": 3}])
def test_bad_options_are_refused(bad):
    with pytest.raises(ValidationError):
        BlockPatchOptions(**bad)


def test_every_declared_fact_holds_of_what_is_built():
    context = Context(image_shape=(3, 8, 6), data_masks=HIDDEN)
    built = {c.kind: (c.options(), c.build(c.options(), context)) for c in register_measurements()}
    assert set(built) == {"identity", "block_patch", "keep_patch", "masks_of_data"}
    for options, sensor in built.values():
        facts = options.facts()
        assert ("exact" in facts) == sensor.exact
        assert ("random" in facts) == sensor.random
        assert ("flip" in facts) == ("flip" in sensor.symmetric)
        assert "observed" in facts
    assert "needs_data_masks" in MasksOfDataOptions().facts()
    assert "random" not in IdentityOptions().facts()
