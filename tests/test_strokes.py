"""Brush strokes and text: what they cover, where they lie, and what they refuse."""

import math

import pytest
import torch
from ambientkit_plugins.strokes import register_measurements
from ambientkit_plugins.strokes.font import GLYPHS
from ambientkit_plugins.strokes.free_form import Brush, FreeForm
from ambientkit_plugins.strokes.options import FreeFormOptions, TextOverlayOptions
from ambientkit_plugins.strokes.text import TextOverlay, font_dots
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from ambientkit import Context
from ambientkit.errors import DataError

COMPONENTS = {component.kind: component for component in register_measurements()}
SENSORS = {"free_form": FreeForm, "text_overlay": lambda fill=1.0: TextOverlay(3, 1, fill=fill)}
SHAPE = (3, 20, 40)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def chi_squared(counts):
    """Of counts that should be alike, in standard deviations of its law above its mean."""
    expected, freedom = counts.double().mean(), len(counts) - 1
    return (((counts - expected).square() / expected).sum() - freedom) / (2 * freedom) ** 0.5


kinds = pytest.mark.parametrize("kind", SENSORS)


@kinds
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("channels", [1, 2, 4])
def test_seen_pixels_are_exact_and_hidden_ones_hold_the_fill_and_do_not_leak(kind, dtype, channels):
    sensor = SENSORS[kind](fill=0.25)
    theta = sensor.sample(9, (channels, 20, 40), gen())
    seen = sensor.observed(theta, (channels, 20, 40))
    assert (seen.shape, seen.dtype) == ((9, 1, 20, 40), torch.bool)
    assert seen.any() and not seen.flatten(1).all(1).any()
    images = (torch.rand(9, channels, 20, 40, generator=gen(1)) * 2 - 1).to(dtype)
    y = sensor.measure(images.masked_fill(~seen, float("nan")), theta)
    assert y.dtype == dtype
    assert torch.equal(y, torch.where(seen, images, torch.tensor(0.25, dtype=dtype)))


@kinds
def test_a_batch_equals_its_pictures_one_by_one(kind):
    sensor = SENSORS[kind]()
    theta = sensor.sample(12, SHAPE, gen())
    whole = sensor.observed(theta, SHAPE)
    for i in range(12):
        alone = {key: value[i : i + 1] for key, value in theta.items()}
        assert torch.equal(sensor.observed(alone, SHAPE), whole[i : i + 1])


@kinds
def test_draws_come_from_the_generator_alone_and_differ_between_pictures(kind):
    sensor = SENSORS[kind]()
    before = torch.random.get_rng_state()
    first, again, other = (sensor.sample(9, SHAPE, gen(seed)) for seed in (3, 3, 4))
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(len(value) == 9 and torch.equal(value, again[key]) for key, value in first.items())
    masks = sensor.observed(first, SHAPE)
    assert not torch.equal(masks, sensor.observed(other, SHAPE))
    assert len({mask.numpy().tobytes() for mask in masks}) == 9


@kinds
def test_every_pixel_is_hidden_in_some_pictures_and_seen_in_others(kind):
    sensor = SENSORS[kind]()
    seen = sensor.observed(sensor.sample(3000, SHAPE, gen()), SHAPE).double().mean((0, 1))
    assert seen.min() > 0 and seen.max() < 1


# Strokes ----------------------------------------------------------------------------------------


def by_distance(theta, height, width):
    """What is hidden, by the distance of each pixel's centre from each segment."""
    vertices, radius = theta["vertices"].double(), theta["width"].double()[:, :, None, None, None] / 2
    start, step = vertices[:, :, :-1], vertices[:, :, 1:] - vertices[:, :, :-1]
    rows, columns = torch.arange(height).double(), torch.arange(width).double()
    place = torch.stack(torch.meshgrid(rows, columns, indexing="ij"), -1)
    offset = place - start[:, :, :, None, None]
    along = (offset * step[:, :, :, None, None]).sum(-1)
    along = (along / step.square().sum(-1).clamp(min=1e-12)[..., None, None]).clamp(0, 1)
    away = (offset - along.unsqueeze(-1) * step[:, :, :, None, None]).norm(dim=-1)
    margin = torch.where(radius > 0, away - radius, torch.inf).amin((1, 2))
    return margin <= 0, margin.abs() < 1e-4


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 24), st.integers(1, 24), st.sampled_from([0.0, math.pi / 2, 1.2]), st.integers(0, 999))
def test_strokes_cover_what_is_within_half_a_brush_of_their_lines(height, width, angle, seed):
    brush = Brush(strokes=(1, 3), vertices=(2, 5), width=(0.05, 0.3), length=0.3, angle=angle)
    sensor = FreeForm(brush)
    theta = sensor.sample(10, (1, height, width), gen(seed))
    hidden, unsure = by_distance(theta, height, width)
    assert ((~sensor.observed(theta, (1, height, width))[:, 0] == hidden) | unsure).all()


@pytest.mark.parametrize("ends", [((2, 1), (2, 7)), ((1, 3), (6, 3)), ((1, 1), (6, 6)), ((4, 4), (4, 4))])
def test_level_upright_and_slanted_lines_and_single_dots(ends):
    theta = {"vertices": torch.tensor([[ends]], dtype=torch.float32), "width": torch.tensor([[2.5]])}
    hidden, unsure = by_distance(theta, 9, 10)
    assert hidden.any() and not unsure.any()
    assert torch.equal(~FreeForm().observed(theta, (1, 9, 10))[:, 0], hidden)


def test_strokes_vertices_and_widths_have_the_law_that_was_asked_for():
    sensor = FreeForm(Brush(strokes=(2, 4), vertices=(3, 6), width=(0.1, 0.2), length=0.2))
    theta = sensor.sample(8000, (1, 40, 60), gen())
    vertices, width = theta["vertices"], theta["width"]
    assert vertices.shape == (8000, 4, 6, 2)
    counts = (width > 0).sum(1)
    assert (counts.min(), counts.max()) == (2, 4)
    assert chi_squared(torch.bincount(counts - 2, minlength=3)) < 4
    drawn = width[width > 0]
    assert drawn.min() >= 4 and drawn.max() <= 8
    assert chi_squared(torch.histc(drawn, 10, 4, 8)) < 4
    moves = (vertices[:, :, 1:] - vertices[:, :, :-1]).norm(dim=-1)
    last = ((moves > 0) * torch.arange(2, 7)).amax(-1)  # 1 in 44 lengths is cut off at 0
    shares = torch.bincount(last.flatten(), minlength=7)[3:] / last.numel()
    assert (shares - 0.25).abs().max() < 0.02 and last.max() == 6
    assert moves.max() <= 2 * 0.2 * math.hypot(40, 60) + 1e-3


def test_strokes_begin_anywhere_and_stay_in_the_picture():
    vertices = FreeForm(Brush(length=0.5)).sample(4000, (1, 40, 60), gen())["vertices"]
    for axis, side in ((0, 40), (1, 60)):
        places = vertices[..., axis]
        assert places.min() >= -0.5 and places.max() <= side - 0.5
        assert chi_squared(torch.histc(places[:, :, 0], 20, -0.5, side - 0.5)) < 4


def test_directions_are_uniform_and_segments_zigzag():
    sensor = FreeForm(Brush(angle=math.radians(60), angle_spread=0.0, length=0.01))
    vertices = sensor.sample(6000, (1, 4000, 4000), gen())["vertices"]  # so large that few are reflected
    steps = (vertices[:, 0, 1:4] - vertices[:, 0, :3]).double()
    steps = steps[(steps.norm(dim=-1) > 1).all(1)]  # the direction of a short one is rounded
    assert len(steps) > 5000
    heading = torch.atan2(steps[..., 0], steps[..., 1])
    assert chi_squared(torch.histc(heading[:, 0], 16, -math.pi, math.pi)) < 4
    turn = (heading[:, 1:] - heading[:, :-1] + math.pi).remainder(2 * math.pi) - math.pi
    aside = turn.rad2deg()
    assert ((aside.abs() - 120).abs() < 1).all(1).double().mean() > 0.95
    assert abs((aside[:, 0] > 0).double().mean() - 0.5) < 0.05
    assert (aside[:, 0] * aside[:, 1] < 0).double().mean() > 0.95


def test_brushes_are_never_thinner_than_a_pixel():
    widths = FreeForm().sample(50, (1, 8, 8), gen())["width"]
    assert widths[widths > 0].min() == 1


# Text -------------------------------------------------------------------------------------------


def test_the_font_has_36_different_glyphs_of_5_by_7():
    dots = font_dots()
    assert dots.shape == (37, 9, 6)
    assert not dots[0].any() and not dots[:, 7:].any() and not dots[:, :, 5:].any()
    assert all([len(row) for row in glyph.split()] == [5] * 7 for glyph in GLYPHS.values())
    assert len({glyph.numpy().tobytes() for glyph in dots}) == 37


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 2), st.integers(1, 2), st.integers(1, 3), st.integers(0, 99))
def test_text_is_the_glyphs_of_theta_at_their_place_and_scale(characters, lines, small, more, seed):
    sensor = TextOverlay(characters, lines, (small, small + more - 1))
    height, width = 70, 80  # two lines at scale 4 are 64 tall
    theta = sensor.sample(4, (1, height, width), gen(seed))
    glyphs = list(GLYPHS.values())
    expected = torch.zeros(4, 1, height, width, dtype=torch.bool)
    for i, scale in enumerate(theta["scale"].tolist()):
        top, left = theta["corner"][i].tolist()
        for line, column in ((line, column) for line in range(lines) for column in range(characters)):
            code = theta["characters"][i, line, column]
            for y, row in enumerate(glyphs[code - 1].split() if code else []):
                for x in (x for x, dot in enumerate(row) if dot == "#"):
                    down, right = top + (line * 9 + y) * scale, left + (column * 6 + x) * scale
                    expected[i, 0, down : down + scale, right : right + scale] = True
    assert torch.equal(~sensor.observed(theta, (1, height, width)), expected)


def test_characters_scales_and_places_are_uniform():
    sensor = TextOverlay(2, 1, (1, 2))
    theta = sensor.sample(30_000, (1, 16, 26), gen())
    assert chi_squared(torch.bincount(theta["characters"][:, 0, 0].int(), minlength=37)[1:]) < 4
    second = torch.bincount(theta["characters"][:, 0, 1].int(), minlength=37)
    assert chi_squared(second[1:]) < 4
    assert abs(second[0] / 30_000 - 1 / 6) < 0.01
    assert not (theta["characters"][:, 0, 0] == 0).any()
    assert chi_squared(torch.bincount(theta["scale"] - 1, minlength=2)) < 4
    for scale, rows, columns in ((1, 10, 16), (2, 3, 5)):  # 7 x 11 and 14 x 22 in 16 x 26
        corner = theta["corner"][theta["scale"] == scale]
        counts = torch.bincount(corner[:, 0] * columns + corner[:, 1], minlength=rows * columns)
        assert len(counts) == rows * columns
        assert chi_squared(counts) < 4


def test_text_that_does_not_fit_is_refused_before_and_while_it_is_drawn():
    options = TextOverlayOptions()  # 29 x 16 dots, twice as large at most
    assert not list(options.complaints(Context()))
    assert not list(options.complaints(Context(image_shape=(1, 32, 58))))
    (complaint,) = options.complaints(Context(image_size=(32, 57)))
    assert complaint.field == "scale" and not complaint.warning
    assert complaint.message == "text of 32x58 pixels does not fit into a picture of 32x57"
    assert complaint.remedy == "use a scale of at most 1"
    (complaint,) = options.complaints(Context(image_size=(28, 28)))
    assert (complaint.field, complaint.remedy) == ("characters", "use fewer characters or lines")
    with pytest.raises(DataError, match="text of 32x58 pixels does not fit into a picture of 32x57"):
        TextOverlay().sample(1, (1, 32, 57), gen())
    TextOverlay().sample(1, (1, 32, 58), gen())


# Options ----------------------------------------------------------------------------------------


def test_options_arrive():
    assert list(COMPONENTS) == list(SENSORS)
    options = FreeFormOptions(
        strokes=(2, 2), vertices=(2, 9), width=(0.1, 0.2), length=0.3, angle=90, angle_spread=0, fill=-1
    )
    sensor = COMPONENTS["free_form"].build(options, Context())
    assert sensor.brush == Brush((2, 2), (2, 9), (0.1, 0.2), 0.3, math.pi / 2, 0.0)
    assert sensor.fill == -1
    assert COMPONENTS["free_form"].build(FreeFormOptions(), Context()).brush == Brush()
    text = TextOverlayOptions(characters=4, lines=3, scale=(2, 3), fill=0)
    sensor = COMPONENTS["text_overlay"].build(text, Context())
    assert (sensor.characters, sensor.lines, sensor.scale, sensor.fill) == (4, 3, (2, 3), 0)


@kinds
def test_facts_are_those_of_what_is_built(kind):
    options = COMPONENTS[kind].options()
    sensor, facts = COMPONENTS[kind].build(options, Context()), options.facts()
    assert {"exact", "observed", "pixelwise", "random"} <= facts
    assert sensor.exact and sensor.pixelwise and sensor.random and sensor.gradient == "exact"
    assert ("flip" in facts) == ("flip" in sensor.symmetric) == (kind == "free_form")


def test_wide_brushes_are_warned_of():
    (complaint,) = FreeFormOptions(width=(0.1, 0.6)).complaints(Context())
    assert (complaint.field, complaint.warning) == ("width", True)
    assert not list(FreeFormOptions().complaints(Context()))


@pytest.mark.parametrize(
    ("options", "bad"),
    [
        (FreeFormOptions, {"strokes": [3, 1]}),
        (FreeFormOptions, {"strokes": [0, 1]}),
        (FreeFormOptions, {"vertices": [1, 4]}),
        (FreeFormOptions, {"width": [0.2, 0.1]}),
        (FreeFormOptions, {"length": 0}),
        (FreeFormOptions, {"angle": 181}),
        (TextOverlayOptions, {"scale": [2, 1]}),
        (TextOverlayOptions, {"characters": 0}),
        (TextOverlayOptions, {"words": 3}),
    ],
)
def test_bad_options_are_refused(options, bad):
    with pytest.raises(ValidationError):
        options(**bad)


def test_strokes_are_on_average_as_long_as_they_are_said_to_be():
    """mean (1 + z / 2) clipped to 0..2 means, z standard normal: their spread is 0.48 of the mean."""
    lengths = FreeForm(Brush(length=0.2))._steps(4000, 50.0, gen()).norm(dim=-1)
    assert float(lengths.mean()) == pytest.approx(10, rel=0.02)
    assert float(lengths.std()) == pytest.approx(4.8, rel=0.03)
    assert float(lengths.min()) == pytest.approx(0, abs=1e-5)
    assert float(lengths.max()) == pytest.approx(20, abs=1e-4)


@pytest.mark.parametrize(
    ("size", "field"), [((12, 100), "scale"), ((100, 20), "scale"), ((6, 100), "characters")]
)
def test_text_that_does_not_fit_in_either_direction_is_told(size, field):
    options = TextOverlayOptions(lines=1, characters=3, scale=(1, 2))
    (found,) = options.complaints(Context(image_size=size))
    assert found.field == field and f"{size[0]}x{size[1]}" in found.message
    assert not list(options.complaints(Context(image_size=(14, 34))))
