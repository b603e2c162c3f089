"""The masking sensors: laws of their holes, and what they refuse."""

import pytest
import torch
from ambientkit_plugins.masks import register_measurements
from ambientkit_plugins.masks.area_options import BandOptions, HalfOptions, ObservedSquareOptions, band_pixels
from ambientkit_plugins.masks.areas import Band, Half, ObservedSquare
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

pytestmark = pytest.mark.smoke

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
        "band": Band(0.3, fill=0.5),
        "columns": Band(2, "columns"),
        "square": ObservedSquare(3, 3),
        "squares": ObservedSquare(1, 6, fill=-1.0),
        "rectangles": ObservedSquare(2, 5, rectangle=True),
        "half": Half(["left", "right", "top", "bottom"]),
        "left": Half(["left"], fill=-1.0),
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
    assert not warning
    assert messages(KeepPatchOptions(size=33), (32, 32))[0][2] is False


@pytest.mark.parametrize("bad", [{"size": 0}, {"fill": 1.5}, {"count": 0}, {"size": [1, 2, 3]}, {"sizes": 3}])
def test_bad_options_are_refused(bad):
    with pytest.raises(ValidationError):
        BlockPatchOptions(**bad)


def test_every_declared_fact_holds_of_what_is_built():
    context = Context(image_shape=(3, 8, 6), data_masks=HIDDEN)
    built = {c.kind: (c.options(), c.build(c.options(), context)) for c in register_measurements()}
    assert set(built) == {
        *("identity", "block_patch", "keep_patch", "masks_of_data"),
        *("band", "observed_square", "half"),
    }
    for options, sensor in built.values():
        facts = options.facts()
        assert ("exact" in facts) == sensor.exact
        assert ("random" in facts) == sensor.random
        assert ("flip" in facts) == ("flip" in sensor.symmetric)
        assert "observed" in facts
    assert "needs_data_masks" in MasksOfDataOptions().facts()
    assert "random" not in IdentityOptions().facts()


def chi_squared(counts):
    """Of counts that should be alike, in standard deviations of its law above its mean."""
    expected = counts.double().mean()
    freedom = len(counts) - 1
    return (((counts - expected).square() / expected).sum() - freedom) / (2 * freedom) ** 0.5


@pytest.mark.parametrize("axis", ["rows", "columns"])
def test_bands_lie_anywhere_both_ends_included(axis):
    shape = (3, 11, 9)
    side = 11 if axis == "rows" else 9
    for height, thick in ((0.3, 3), (4, 4), (0.01, 1), (side, side)):
        sensor = Band(height, axis)
        theta = sensor.sample(20_000, shape, gen())
        counts = torch.bincount(theta["offset"], minlength=side - thick + 1)
        assert len(counts) == side - thick + 1
        assert len(counts) == 1 or chi_squared(counts) < 4
        hidden = ~sensor.observed({"offset": theta["offset"][:100]}, shape)[:, 0]
        lines = hidden.all(2 if axis == "rows" else 1)
        assert torch.equal(hidden.flatten(1).sum(1), lines.sum(1) * (9 if axis == "rows" else 11))
        assert torch.equal(lines.int().argmax(1), theta["offset"][:100])
        assert (lines.sum(1) == thick).all()


def test_the_band_of_uair_is_three_tenths_high():
    assert band_pixels(0.3, 64) == 19
    sensor = Band()
    hidden = ~sensor.observed(sensor.sample(5, (3, 64, 48), gen()), (3, 64, 48))
    assert (hidden.sum((1, 2, 3)) == 19 * 48).all()


@pytest.mark.parametrize("rectangle", [False, True])
def test_observed_squares_have_uniform_sides_and_then_uniform_places(rectangle):
    sensor = ObservedSquare(2, 5, rectangle)
    theta = sensor.sample(40_000, (1, 8, 6), gen())
    (tall, wide), (top, left) = theta["side"].unbind(1), theta["corner"].unbind(1)
    assert (tall.min(), tall.max()) == (2, 5)
    assert chi_squared(torch.bincount(tall - 2, minlength=4)) < 4
    assert chi_squared(torch.bincount(wide - 2, minlength=4)) < 4
    assert torch.equal(tall, wide) != rectangle
    if rectangle:
        assert chi_squared(torch.bincount((tall - 2) * 4 + wide - 2, minlength=16)) < 4
    for side in (2, 5):  # 7 x 5 and 4 x 2 places
        rows, columns = 8 - side + 1, 6 - side + 1
        chosen = (tall == side) & (wide == side)
        counts = torch.bincount(top[chosen] * columns + left[chosen], minlength=rows * columns)
        assert len(counts) == rows * columns
        assert chi_squared(counts) < 4


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.data())
def test_what_is_observed_is_the_window_of_theta(height, width, rectangle, data):
    largest = data.draw(st.integers(1, min(height, width)))
    sensor = ObservedSquare(data.draw(st.integers(1, largest)), largest, rectangle)
    theta = sensor.sample(8, (2, height, width), gen(data.draw(st.integers(0, 99))))
    expected = torch.zeros(8, 1, height, width, dtype=torch.bool)
    windows = torch.cat([theta["corner"], theta["side"]], 1).tolist()
    for i, (top, left, tall, wide) in enumerate(windows):
        assert top + tall <= height and left + wide <= width
        expected[i, :, top : top + tall, left : left + wide] = True
    assert torch.equal(sensor.observed(theta, (2, height, width)), expected)


@settings(max_examples=25, deadline=None)
@given(st.integers(2, 9), st.integers(2, 9))
def test_halves_are_the_halves_of_the_picture(height, width):
    tall, wide = height // 2, width // 2
    hidden = {
        side: ~Half([side]).observed({"side": torch.zeros(1, dtype=torch.int64)}, (1, height, width))[0, 0]
        for side in ("left", "right", "top", "bottom")
    }
    assert hidden["left"][:, :wide].all() and hidden["left"].sum() == height * wide
    assert hidden["top"][:tall].all() and hidden["top"].sum() == tall * width
    assert torch.equal(hidden["right"], hidden["left"].flip(1))
    assert torch.equal(hidden["bottom"], hidden["top"].flip(0))


def test_each_side_is_hidden_as_often_and_one_side_always():
    sensor = Half(["bottom", "left", "top"])
    theta = sensor.sample(9000, (1, 4, 4), gen())
    assert chi_squared(torch.bincount(theta["side"], minlength=3)) < 4
    seen = sensor.observed(theta, (1, 4, 4))[:, 0]
    assert torch.equal(~seen[:, 3, 3], theta["side"] == 0)
    assert torch.equal(~seen[:, 2, 0], theta["side"] <= 1)
    alone = Half(["right"])
    assert not alone.random
    assert not alone.sample(50, (1, 4, 4), gen())["side"].any()


def test_areas_that_do_not_fit_are_data_errors():
    with pytest.raises(DataError, match="band of 10 rows does not fit into 9 rows"):
        Band(10).sample(1, (1, 9, 12), gen())
    with pytest.raises(DataError, match="square of 14 does not fit into a picture of 28x13"):
        ObservedSquare(3, 14).sample(1, (1, 28, 13), gen())
    with pytest.raises(DataError, match="1x8 has no half"):
        Half(["left"]).sample(1, (1, 1, 8), gen())


def test_complaints_of_areas():
    assert not messages(BandOptions(), (64, 64))
    assert not messages(BandOptions(), None)
    ((field, middle, warning),) = messages(BandOptions(height=0.6, axis="columns"), (64, 10))
    assert (field, warning) == ("height", True)
    assert "middle 2 columns" in middle
    ((_, none_left, warning),) = messages(BandOptions(height=64), (64, 90))
    assert "a band of 64 rows leaves none of a picture's 64" in none_left
    assert not warning
    assert not messages(ObservedSquareOptions(size=(3, 28), shape="rectangle"), (28, 28))
    ((_, large, warning),) = messages(ObservedSquareOptions(size=(3, 28)), (28, 20))
    assert "square of 28 does not fit into a picture of 28x20" in large
    assert not warning
    ((_, nothing, warning),) = messages(ObservedSquareOptions(size=28), (28, 28))
    assert "hides nothing" in nothing
    assert not warning
    assert messages(ObservedSquareOptions(shape="rectangle"), None)[0][0] == "shape"
    assert not messages(HalfOptions(), (8, 8))
    ((_, always, warning),) = messages(HalfOptions(sides=["top"]), (8, 8))
    assert "top half is hidden in every picture" in always
    assert warning
    assert "no half" in messages(HalfOptions(), (1, 8))[0][1]


@pytest.mark.parametrize(
    ("options", "bad"),
    [
        (BandOptions, {"height": 1.0}),  # neither a fraction nor, being written 1.0, a pixel
        (BandOptions, {"height": 0}),
        (BandOptions, {"axis": "row"}),
        (ObservedSquareOptions, {"size": [5, 3]}),
        (ObservedSquareOptions, {"size": [0, 3]}),
        (HalfOptions, {"sides": []}),
        (HalfOptions, {"sides": ["left", "left"]}),
        (HalfOptions, {"sides": ["middle"]}),
    ],
)
def test_bad_options_of_areas_are_refused(options, bad):
    with pytest.raises(ValidationError):
        options(**bad)


BUILT = {component.kind: component for component in register_measurements()}


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("band", {"height": 4, "axis": "columns", "fill": 0.25}),
        ("observed_square", {"size": [2, 4], "shape": "rectangle", "fill": 0.25}),
        ("half", {"sides": ["left", "top"], "fill": 0.25}),
        ("half", {"sides": ["left", "right", "top"]}),
        ("half", {"sides": ["top", "bottom"]}),
        ("half", {"sides": ["left"]}),
    ],
)
def test_options_of_areas_arrive_and_their_facts_hold(kind, options):
    given_options = BUILT[kind].options(**options)
    sensor = BUILT[kind].build(given_options, Context())
    assert sensor.fill == options.get("fill", 1.0)
    facts = given_options.facts()
    assert ("flip" in facts) == ("flip" in sensor.symmetric)
    assert ("random" in facts) == sensor.random
    if kind == "band":
        assert (sensor.height, sensor.axis) == (4, "columns")
    elif kind == "observed_square":
        assert (sensor.smallest, sensor.largest, sensor.rectangle) == (2, 4, True)
    else:
        assert sensor.sides == tuple(options["sides"])
        assert bool(sensor.symmetric) == (("left" in sensor.sides) == ("right" in sensor.sides))


def seen_together(sensor, shape, places):
    """Whether each pixel of `places` is seen in one picture, and whether each but any one is."""
    seen = sensor.observed(sensor.sample(4000, shape, gen()), shape)[:, 0]
    picked = torch.stack([seen[:, row, column] for row, column in places], 1)
    fewer = [picked[:, [j for j in range(len(places)) if j != i]].all(1).any() for i in range(len(places))]
    return bool(picked.all(1).any()), all(map(bool, fewer))


@pytest.mark.parametrize(
    ("options", "places"),
    [
        (BandOptions(height=3), [(2, 0), (5, 3), (8, 1)]),
        (BandOptions(height=0.5), [(4, 0), (9, 0)]),
        (BandOptions(height=2, axis="columns"), [(0, 1), (4, 3), (2, 5), (9, 7)]),
        (ObservedSquareOptions(size=[3, 7]), [(0, 0), (9, 8)]),
        (HalfOptions(), [(0, 0), (9, 8)]),
        (HalfOptions(sides=["left", "right", "top"]), [(0, 0), (9, 8)]),
        (HalfOptions(sides=["top", "right"]), [(0, 8)]),
        (HalfOptions(sides=["bottom"]), [(9, 0)]),
        (BandOptions(height=6), [(5, 0)]),
    ],
)
def test_what_is_said_to_be_never_seen_together_is_not(options, places):
    kind = {BandOptions: "band", ObservedSquareOptions: "observed_square", HalfOptions: "half"}[type(options)]
    context = Context(image_shape=(1, 10, 9))
    verdict, reason = options.identifiability(context)
    together, fewer = seen_together(BUILT[kind].build(options, context), (1, 10, 9), places)
    assert not together and fewer
    assert verdict == ("not identified" if len(places) <= 2 else "lower-order marginals only")
    for number in (n for n in (places[0][options_axis(options)],) if n):
        assert str(number) in reason


def options_axis(options):
    """Which coordinate of a place the reason names for bands; the row for all others."""
    return 1 if getattr(options, "axis", "rows") == "columns" else 0


def test_a_window_that_may_be_the_picture_identifies_it():
    options = ObservedSquareOptions(size=(3, 9))
    assert options.identifiability(Context(image_size=(9, 9)))[0] == "identified"
    assert options.identifiability(Context(image_size=(9, 10)))[0] == "not identified"
    assert options.identifiability(Context()) is None


def test_fills_of_sensors_that_are_made_by_hand():
    """Grey, or white as the options have it."""
    assert (ObservedSquare(2, 3).fill, Half(("left",)).fill) == (0.0, 1.0)


def said(options, shape=(1, 10, 9)):
    return options.identifiability(Context(image_shape=shape, image_size=shape[1:]))[1]


def test_places_that_are_never_seen_are_named_rightly():
    assert said(BandOptions(height=6)) == "2 of the rows are never observed, as 5"
    assert said(BandOptions(height=6, axis="columns")) == "3 of the columns are never observed, as 5"
    assert said(BandOptions(height=5)) == "rows 4 and 9 are never observed together"
    assert "rows 2, 5, ..., 8, so" in said(BandOptions(height=3))
    assert said(ObservedSquareOptions(size=4)).endswith("(0, 0) and (9, 8)")
    assert "pixels (0, 0) and (9, 8) are" in said(HalfOptions())
    assert said(HalfOptions(sides=["top", "right"])) == "pixel (0, 8) is never observed"
    ((_, middle, _),) = messages(BandOptions(height=7, axis="rows"), (10, 64))
    assert "the middle 4 rows are hidden" in middle


def test_places_of_blocks_are_listed_shortly():
    assert "rows {3, 7} x columns {3}" in said(BlockPatchOptions(size=4), (1, 10, 7))
    assert "rows {1, 3, ..., 9} x columns {1, 3, ..., 7}" in said(BlockPatchOptions(size=2))
    assert "2 pixels in the middle are never observed, such as (5, 4)" in said(BlockPatchOptions(size=[6, 5]))
