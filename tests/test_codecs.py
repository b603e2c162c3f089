"""The codecs: levels, dither, and JPEG against Pillow's."""

import io

import numpy as np
import pytest
import torch
from ambientkit_plugins.codecs import register_measurements
from ambientkit_plugins.codecs.dct import LUMINANCE, tables
from ambientkit_plugins.codecs.jpeg import Jpeg
from ambientkit_plugins.codecs.options import JpegOptions, QuantiseOptions
from ambientkit_plugins.codecs.quantise import Quantise
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

from ambientkit import Context
from ambientkit.errors import DataError

SENSORS = {
    "levels": Quantise(5),
    "dither": Quantise(4, dither=True),
    "jpeg": Jpeg(20, 20),
    "jpeg range": Jpeg(5, 95),
    "jpeg 4:4:4": Jpeg(30, 90, halve_colour=False),
}
each = pytest.mark.parametrize("sensor", SENSORS.values(), ids=SENSORS.keys())


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n, shape=(3, 17, 20), seed=1):
    """Smooth pictures with some noise, in [-1, 1]."""
    small = torch.rand(n, shape[0], 4, 4, generator=gen(seed))
    smooth = torch.nn.functional.interpolate(small, shape[1:], mode="bilinear")
    return (smooth * 2 - 1 + 0.1 * torch.randn(n, *shape, generator=gen(seed))).clamp(-1, 1)


def pillow(pixels, **options):
    """uint8 (H, W, C) saved and read by Pillow."""
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze(-1) if pixels.shape[-1] == 1 else pixels).save(file, "JPEG", **options)
    return np.asarray(Image.open(file)).reshape(pixels.shape)


def by_pillow(images, qualities, halve_colour):
    options = {"subsampling": "4:2:0" if halve_colour else "4:4:4"} if images.shape[1] == 3 else {}
    pixels = ((images + 1) * 127.5).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    made = [pillow(p, quality=q, **options) for p, q in zip(pixels, qualities, strict=True)]
    return torch.from_numpy(np.stack(made)).permute(0, 3, 1, 2)


def grey_levels(y):
    return ((y.double() + 1) * 127.5).round()


@each
@settings(max_examples=8, deadline=None)
@given(st.integers(1, 4), st.sampled_from([1, 3]), st.integers(1, 19), st.integers(1, 19), st.integers(0, 99))
def test_a_batch_equals_its_pictures_one_by_one_for_any_shape(sensor, n, channels, height, width, seed):
    shape = (channels, height, width)
    images, theta = pictures(n, shape, seed), sensor.sample(n, shape, gen(seed))
    whole = sensor.measure(images, theta)
    assert whole.shape == (n, *sensor.measured_shape(shape))
    assert whole.abs().max() <= 1
    for i in range(n):
        alone = {name: value[i : i + 1] for name, value in theta.items()}
        assert torch.equal(sensor.measure(images[i : i + 1], alone), whole[i : i + 1])


@each
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_measures_without_drawing_or_writing_in_the_dtype_of_the_images(sensor, dtype):
    images, before = pictures(5).to(dtype), torch.random.get_rng_state()
    theta, again = (sensor.sample(5, (3, 17, 20), gen()) for _ in range(2))
    assert theta.keys() == again.keys()
    assert all(torch.equal(theta[name], again[name]) for name in theta)
    kept_images, kept = images.clone(), {name: value.clone() for name, value in theta.items()}
    y = sensor.measure(images, theta)
    assert y.dtype == dtype and torch.equal(y, sensor.measure(images, theta))
    assert torch.equal(images, kept_images)
    assert all(torch.equal(theta[name], kept[name]) for name in theta)
    assert torch.equal(torch.random.get_rng_state(), before)


@each
def test_gradients_are_surrogates_with_a_reason_and_can_be_differentiated_again(sensor):
    images = pictures(2).requires_grad_()
    y = sensor.measure(images, sensor.sample(2, (3, 17, 20), gen()))
    (gradient,) = torch.autograd.grad(y.square().sum(), images, create_graph=True)
    assert gradient.isfinite().all() and gradient.abs().max() > 0
    (second,) = torch.autograd.grad(gradient.sum(), images)
    assert second.abs().max() > 0
    assert sensor.gradient == "surrogate" and "straight-through" in sensor.gradient_reason


# Levels -----------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 65536), st.integers(0, 99), st.sampled_from([torch.float32, torch.float64]))
def test_levels_are_even_nearest_and_stay_when_measured_again(levels, seed, dtype):
    sensor = Quantise(levels)
    images = (torch.rand(2, 1, 9, 9, generator=gen(seed)) * 2.4 - 1.2).to(dtype)
    theta = sensor.sample(2, (1, 9, 9), gen())
    y = sensor.measure(images, theta)
    step = 2 / (levels - 1)
    place = (y.double() + 1) / step
    assert (place - place.round()).abs().max() < 0.01
    assert (y - images.clamp(-1, 1)).abs().max() <= step / 2 * 1.01
    assert torch.equal(sensor.measure(y, theta), y)
    ends = sensor.measure(images.new_tensor([-1.0, 1.0, -5.0, 5.0]).view(1, 1, 2, 2), theta)
    assert ends.flatten().tolist() == [-1, 1, -1, 1]


def test_two_levels_are_black_and_white_with_the_tie_white():
    images = torch.tensor([-0.01, 0.0, 0.01]).view(1, 1, 1, 3)
    sensor = Quantise(2)
    assert sensor.measure(images, sensor.sample(1, (1, 1, 3), gen())).flatten().tolist() == [-1, 1, 1]


@pytest.mark.parametrize("dither", [False, True])
def test_the_gradient_of_levels_is_one_inside_and_zero_where_they_saturate(dither):
    sensor = Quantise(4, dither)
    images = torch.tensor([-1.2, -1.0, 0.1, 0.9, 1.0]).view(1, 1, 1, 5).requires_grad_()
    y = sensor.measure(images, sensor.sample(1, (1, 1, 5), gen()))
    (gradient,) = torch.autograd.grad(y.sum(), images)
    assert gradient.flatten().tolist() == pytest.approx([0, 1, 1, 1, 1])


@pytest.mark.parametrize("grey", [-1.0, -0.8, 0.1, 0.5, 1.0])
def test_with_dither_the_mean_is_the_picture(grey):
    sensor = Quantise(4, dither=True)
    theta = sensor.sample(50, (3, 30, 30), gen())
    y = sensor.measure(torch.full((50, 3, 30, 30), grey), theta).double()
    place = (grey + 1) * 1.5
    variance = (place % 1) * (1 - place % 1) * (2 / 3) ** 2
    assert abs(y.mean() - grey) < 5 * (variance / y.numel()) ** 0.5 + 1e-6
    assert y.var().item() == pytest.approx(variance, rel=0.03, abs=1e-6)
    neighbours = torch.corrcoef(
        torch.stack([theta["dither"][..., 1:].flatten(), theta["dither"][..., :-1].flatten()])
    )
    assert neighbours[0, 1].abs() < 0.02


# JPEG -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("halve_colour", [True, False])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(64, 64), (17, 23), (40, 33), (9, 5), (3, 3), (1, 1), (31, 2)])
def test_jpeg_equals_pillows_bit_for_bit(size, channels, halve_colour):
    qualities = [1, 5, 10, 25, 49, 50, 51, 75, 90, 95, 99, 100]
    count, shape = len(qualities), (channels, *size)
    for images in (pictures(count, shape), torch.rand(count, *shape, generator=gen(4)) * 2 - 1):
        eight_bits = grey_levels(images).float() / 127.5 - 1
        y = Jpeg(1, 100, halve_colour).measure(eight_bits, {"quality": torch.tensor(qualities)})
        assert torch.equal(grey_levels(y), by_pillow(eight_bits, qualities, halve_colour).double())


def test_tables_equal_pillows():
    for quality in (1, 10, 49, 50, 51, 95, 100):
        file = io.BytesIO()
        Image.new("L", (8, 8)).save(file, "JPEG", quality=quality)
        with Image.open(file) as opened:
            expected = opened.quantization[0]
        assert tables(LUMINANCE, torch.tensor([quality])).flatten().tolist() == expected


def test_pixels_are_first_rounded_to_eight_bits():
    sensor, images = Jpeg(80, 80), pictures(3)
    theta = sensor.sample(3, (3, 17, 20), gen())
    rounded = (grey_levels(images) / 127.5 - 1).float()
    assert torch.equal(sensor.measure(images, theta), sensor.measure(rounded, theta))


def test_worse_quality_is_further_from_the_picture():
    images = pictures(6, (3, 32, 32))
    errors = [
        (Jpeg(q, q).measure(images, {"quality": torch.full((6,), q)}) - images).square().mean()
        for q in (95, 50, 10)
    ]
    assert errors[0] < errors[1] < errors[2]
    assert errors[0] > 0


def test_quality_is_drawn_over_the_whole_range_and_reported():
    theta = Jpeg(30, 34).sample(5000, (3, 8, 8), gen())
    counts = torch.bincount(theta["quality"], minlength=35)[30:]
    assert counts.sum() == 5000 and len(counts) == 5
    assert ((counts - 1000).square() / 1000).sum() < 18.5  # 4 degrees of freedom, one in a thousand
    assert torch.equal(Jpeg(30, 34).known(theta)["quality"], theta["quality"])
    assert Jpeg(30, 30).known(theta) is None


def test_the_gradient_of_full_colour_is_nearly_one_in_the_middle_of_the_range():
    images = (pictures(2, (3, 16, 16)) * 0.4).requires_grad_()
    sensor = Jpeg(90, 90, halve_colour=False)
    weights = torch.randn(2, 3, 16, 16, generator=gen(2))
    y = sensor.measure(images, sensor.sample(2, (3, 16, 16), gen()))
    (gradient,) = torch.autograd.grad((weights * y).sum(), images)
    assert (gradient - weights).abs().max() < 0.01


def test_other_channel_numbers_are_refused():
    with pytest.raises(DataError, match="1 or 3 channels, not 4"):
        Jpeg(50, 50).sample(1, (4, 8, 8), gen())
    with pytest.raises(DataError, match="1 or 3 channels, not 2"):
        Jpeg(50, 50).measure(torch.zeros(1, 2, 8, 8), {"quality": torch.tensor([50])})


# Options ----------------------------------------------------------------------------------------


def test_complaints_of_jpeg():
    def found(context, **options):
        return [(c.field, c.message) for c in JpegOptions(**options).complaints(context)]

    assert found(Context()) == found(Context(image_shape=(1, 8, 8)), quality=(10, 20)) == []
    assert found(Context(image_shape=(2, 8, 8)))[0] == ("", "JPEG takes pictures of 1 or 3 channels, not 2")
    assert found(Context(), quality=(20, 10)) == [("quality", "the range begins at 20, above its end 10")]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("quantise", {}),
        ("quantise", {"dither": True, "levels": 3}),
        ("jpeg", {}),
        ("jpeg", {"quality": [10, 90], "subsampling": "4:4:4"}),
    ],
)
def test_every_declared_fact_holds_of_what_is_built(kind, options):
    component = {c.kind: c for c in register_measurements()}[kind]
    chosen = component.options(**options)
    sensor, facts = component.build(chosen, Context(image_shape=(3, 8, 8))), chosen.facts()
    for fact, truth in {
        "random": sensor.random,
        "exact": sensor.exact,
        "pixelwise": sensor.pixelwise,
        "flip": "flip" in sensor.symmetric,
    }.items():
        assert (fact in facts) == truth
    assert sensor.random == bool(options) and sensor.pixelwise == (kind == "quantise")


def test_options_reach_what_is_built():
    build = {c.kind: c for c in register_measurements()}
    assert set(build) == {"jpeg", "quantise"}
    jpeg = build["jpeg"].build(JpegOptions(quality=(10, 90), subsampling="4:4:4"), Context())
    assert (jpeg.lowest, jpeg.highest, jpeg.halve_colour) == (10, 90, False)
    levels = build["quantise"].build(QuantiseOptions(levels=3, dither=True), Context())
    assert (levels.levels, levels.random) == (3, True)


@pytest.mark.parametrize(
    ("options", "bad"),
    [
        (QuantiseOptions, {"levels": 1}),
        (JpegOptions, {"quality": 0}),
        (JpegOptions, {"quality": [10, 101]}),
        (JpegOptions, {"subsampling": "4:1:1"}),
    ],
)
def test_bad_options_are_refused(options, bad):
    with pytest.raises(ValidationError):
        options(**bad)
