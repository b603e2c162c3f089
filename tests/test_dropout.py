"""Dropped pixels and lines: rates, independence, units, and honest declarations."""

import pytest
import torch
from ambientkit_plugins.dropout import register_measurements
from ambientkit_plugins.dropout.sensors import BlockPixels, DropColumns, DropRows, DropRowsColumns, kept
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ambientkit import Context

KINDS = {
    "block_pixels": BlockPixels,
    "drop_rows": DropRows,
    "drop_columns": DropColumns,
    "drop_rows_columns": DropRowsColumns,
}
COMPONENTS = {component.kind: component for component in register_measurements()}


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def far(count, trials, p):
    """How many standard deviations a count is from trials * p."""
    return abs(count - trials * p) / (trials * p * (1 - p)) ** 0.5


kinds = pytest.mark.parametrize("kind", KINDS)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9))


@kinds
@settings(max_examples=20, deadline=None)
@given(shapes, st.booleans(), st.sampled_from([torch.float32, torch.float64, torch.bfloat16]), st.data())
def test_kept_pixels_are_exact_and_dropped_ones_hold_the_fill_and_do_not_leak(
    kind, shape, per_channel, dtype, data
):
    sensor = KINDS[kind](0.4, per_channel, fill=data.draw(st.sampled_from([-1.0, 0.0, 0.5])))
    theta = sensor.sample(5, shape, gen(data.draw(st.integers(0, 99))))
    seen = sensor.observed(theta, shape)
    assert seen.shape == (5, shape[0] if per_channel else 1, *shape[1:])
    assert seen.dtype == torch.bool
    seen = seen.expand(5, *shape)
    images = (torch.rand(5, *shape, generator=gen(1)) * 2 - 1).to(dtype)
    y = sensor.measure(images.masked_fill(~seen, float("nan")), theta)
    assert y.dtype == dtype
    assert torch.equal(y, torch.where(seen, images, torch.tensor(sensor.fill, dtype=dtype)))


@kinds
@pytest.mark.parametrize("rescale", [False, True])
def test_gradients_are_those_of_the_formula(kind, rescale):
    sensor = KINDS[kind](0.5, per_channel=True, rescale=rescale, fill=-1.0)
    theta = sensor.sample(2, (2, 4, 3), gen())
    images = torch.rand(2, 2, 4, 3, dtype=torch.float64, generator=gen(1), requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: sensor.measure(x, theta), images)


@kinds
@pytest.mark.parametrize("rescale", [False, True])
def test_a_batch_equals_its_pictures_one_by_one(kind, rescale):
    sensor = KINDS[kind](0.3, per_channel=True, rescale=rescale)
    images = torch.rand(7, 3, 8, 5, generator=gen(1))
    before = images.clone()
    theta = sensor.sample(7, (3, 8, 5), gen())
    whole = sensor.measure(images, theta)
    assert torch.equal(images, before)
    for i in range(7):
        alone = {key: value[i : i + 1] for key, value in theta.items()}
        assert torch.equal(sensor.measure(images[i : i + 1], alone), whole[i : i + 1])


@kinds
def test_draws_come_from_the_generator_alone(kind):
    sensor = KINDS[kind](0.5)
    before = torch.random.get_rng_state()
    first, again, other = (sensor.sample(9, (3, 8, 5), gen(seed)) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert first
    for key, value in first.items():
        assert len(value) == 9
        assert torch.equal(value, again[key])
        assert not torch.equal(value, other[key])


@pytest.mark.parametrize("p", [0.1, 0.5, 0.95, 0.99, 1 / 256, 255 / 256])
def test_each_is_dropped_at_the_rate_that_was_asked_for(p):
    drawn = kept((40, 25, 40, 25), p, gen())
    assert far((~drawn).sum().item(), drawn.numel(), p) < 4
    for axis in range(4):  # no place is favoured
        rates = (~drawn).transpose(0, axis).flatten(1).double().mean(1)
        deviation = (p * (1 - p) / (drawn.numel() / len(rates))) ** 0.5
        assert (rates - p).abs().max() < 4.5 * deviation


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.floats(1e-9, 1 - 1e-9))
def test_any_number_of_draws_and_any_probability(shape, p):
    drawn = kept(tuple(shape), p, gen())
    assert drawn.shape == tuple(shape)
    assert drawn.dtype == torch.bool


@kinds
@pytest.mark.parametrize("per_channel", [False, True])
def test_lines_pixels_and_channels_are_independent(kind, per_channel):
    """Pairs that share no draw are kept together with the product of their rates."""
    sensor = KINDS[kind](0.4, per_channel)
    seen = sensor.observed(sensor.sample(20_000, (2, 4, 3), gen()), (2, 4, 3)).expand(-1, 2, -1, -1)
    rate = 0.6**sensor.factors
    diagonal = (seen[:, 0, 0, 0] & seen[:, 0, 2, 1]).sum().item()
    assert far(diagonal, 20_000, rate**2) < 4
    channels = (seen[:, 0, 1, 1] & seen[:, 1, 1, 1]).sum().item()
    assert far(channels, 20_000, rate**2 if per_channel else rate) < 4
    assert far(seen[:, 1, 3, 2].sum().item(), 20_000, rate) < 4


def test_lines_are_whole():
    rows = DropRows(0.5).observed(DropRows(0.5).sample(50, (3, 6, 9), gen()), (3, 6, 9))
    assert torch.equal(rows, rows[..., :1].expand_as(rows))
    columns = DropColumns(0.5).observed(DropColumns(0.5).sample(50, (3, 6, 9), gen()), (3, 6, 9))
    assert torch.equal(columns, columns[..., :1, :].expand_as(columns))
    both = DropRowsColumns(0.5)
    theta = both.sample(50, (3, 6, 9), gen())
    assert {key: value.shape for key, value in theta.items()} == {"rows": (50, 1, 6), "columns": (50, 1, 9)}
    grid = theta["rows"][:, :, :, None] & theta["columns"][:, :, None, :]
    assert torch.equal(both.observed(theta, (3, 6, 9)), grid)


def in_their_range(x, mask, p):
    """AmbientGAN's measurement, on values in the authors' range."""
    return x * mask / (1 - p)


@kinds
def test_rescaling_is_ambientgans_in_both_of_its_ranges(kind):
    p, images = 0.3, torch.rand(6, 3, 8, 5, generator=gen(1)) * 2 - 1
    q = 1 - (1 - p) ** KINDS[kind].factors
    for fill, to, back in (
        (0.0, lambda x: x, lambda y: y),  # CelebA: [-1, 1]
        (-1.0, lambda x: (x + 1) / 2, lambda y: y * 2 - 1),  # MNIST: [0, 1]
    ):
        sensor = KINDS[kind](p, per_channel=True, rescale=True, fill=fill)
        theta = sensor.sample(6, (3, 8, 5), gen())
        theirs = back(in_their_range(to(images), sensor.observed(theta, (3, 8, 5)), q))
        torch.testing.assert_close(sensor.measure(images, theta), theirs)


@pytest.mark.parametrize("fill", [-1.0, 0.0, 0.7])
def test_rescaled_measurements_have_the_picture_as_their_mean(fill):
    sensor = BlockPixels(0.5, rescale=True, fill=fill)
    images = (torch.rand(1, 1, 4, 4, generator=gen(1)) * 2 - 1).expand(20_000, -1, -1, -1)
    mean = sensor.measure(images, sensor.sample(20_000, (1, 4, 4), gen())).mean(0)
    assert (mean - images[0]).abs().max() < 4.5 * 2 / 20_000**0.5
    with pytest.raises(AssertionError):  # what is not rescaled is drawn towards the fill
        plain = BlockPixels(0.5, fill=fill)
        mean = plain.measure(images, plain.sample(20_000, (1, 4, 4), gen())).mean(0)
        torch.testing.assert_close(mean, images[0], atol=0.07, rtol=0)


def test_all_kinds_are_offered():
    assert list(COMPONENTS) == list(KINDS)


@kinds
@pytest.mark.parametrize("rescale", [False, True])
def test_facts_are_those_of_what_is_built(kind, rescale):
    component = COMPONENTS[kind]
    for per in ("channel", "pixel" if kind == "block_pixels" else "line"):
        options = component.options(p=0.25, rescale=rescale, per=per, fill=0.5)
        sensor, facts = component.build(options, Context()), options.facts()
        assert type(sensor) is KINDS[kind]
        assert (sensor.p, sensor.fill, sensor.per_channel) == (0.25, 0.5, per == "channel")
        assert sensor.exact == ("exact" in facts) == (not rescale)
        assert sensor.scale == (1 / 0.75**sensor.factors if rescale else 1)
        assert sensor.random and sensor.pixelwise and sensor.symmetric == {"flip"}
        assert {"random", "pixelwise", "flip", "observed"} <= facts
        assert sensor.gradient == "exact" and sensor.known(sensor.sample(1, (1, 4, 4), gen())) is None
        assert options.identifiability(Context())[0] == "identified"


@pytest.mark.parametrize(
    ("kind", "p", "what"),
    [
        ("block_pixels", 0.999, "less than one pixel of a picture of 28x32"),
        ("drop_rows", 0.97, "less than one row"),
        ("drop_columns", 0.97, "less than one column"),
        ("drop_rows_columns", 0.97, "less than one row"),
    ],
)
def test_complaints_of_pictures_that_nearly_vanish(kind, p, what):
    options = COMPONENTS[kind].options(p=p)
    (complaint,) = options.complaints(Context(image_size=(28, 32)))
    assert (complaint.field, complaint.warning) == ("p", True)
    assert what in complaint.message
    assert not list(options.complaints(Context()))
    assert not list(COMPONENTS[kind].options(p=0.95).complaints(Context(image_shape=(3, 32, 32))))


@pytest.mark.parametrize("bad", [{"p": 0}, {"p": 1}, {"fill": 2}, {"per": "row"}, {"rate": 0.5}])
@kinds
def test_bad_options_are_refused(kind, bad):
    with pytest.raises(ValidationError):
        COMPONENTS[kind].options(**bad)


def test_dropped_values_are_grey_unless_it_is_said():
    fills = {c.kind: c.options().fill for c in register_measurements() if "fill" in c.options.model_fields}
    assert fills and set(fills.values()) == {0.0}
