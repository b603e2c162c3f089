"""The optical sensors: equal to the reference blurs, their laws, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from ambientkit_plugins.optics import register_measurements
from ambientkit_plugins.optics.blur import ConvolveNoise, box_profile, gaussian_profile
from ambientkit_plugins.optics.border import Border
from ambientkit_plugins.optics.downsample import Downsample
from ambientkit_plugins.optics.motion import MotionBlur
from ambientkit_plugins.optics.options import ConvolveNoiseOptions, DownsampleOptions, MotionBlurOptions
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import ndimage
from torchvision.transforms.functional import gaussian_blur

from ambientkit import Context
from ambientkit.errors import DataError
from ambientkit.testing import check_measurement

SHAPE = (3, 12, 8)
SCIPY_MODES = {"zero": "constant", "reflect": "mirror", "replicate": "nearest"}
OPTIONS = {
    "gaussian": ConvolveNoiseOptions(noise=0),
    "gaussian noise": ConvolveNoiseOptions(noise=0.3, border=-1.0, radius=0.7),
    "box": ConvolveNoiseOptions(kernel="box", size=3, noise=0.1, padding="reflect"),
    "motion": MotionBlurOptions(),
    "motion range": MotionBlurOptions(length=(2, 6), angle=(10, 30), padding="reflect"),
    "motion still": MotionBlurOptions(length=(3, 3), angle=(90, 90), padding="zero"),
    "box 2": DownsampleOptions(factor=2),
    "bicubic 4": DownsampleOptions(factor=4, antialias="bicubic"),
}
KINDS = {
    ConvolveNoiseOptions: "convolve_noise",
    MotionBlurOptions: "motion_blur",
    DownsampleOptions: "downsample",
}


def build(options, context=None):
    builds = {component.kind: component.build for component in register_measurements()}
    return builds[KINDS[type(options)]](options, context or Context())


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=5, shape=SHAPE, dtype=torch.float32, seed=1):
    return torch.rand(n, *shape, generator=gen(seed), dtype=dtype) * 2 - 1


def picked(theta, index):
    return {name: value[index] for name, value in theta.items()}


@pytest.fixture(params=OPTIONS)
def options(request):
    return OPTIONS[request.param]


@pytest.fixture
def sensor(options):
    return build(options)


# What every sensor here promises ----------------------------------------------------------------


def test_facts_are_what_is_built(options, sensor):
    facts = options.facts()
    assert ("random" in facts) == sensor.random
    assert ("flip" in facts) == ("flip" in sensor.symmetric)
    assert ("reshapes" in facts) == (sensor.measured_shape(SHAPE)[-2:] != SHAPE[-2:])
    assert not facts & {"exact", "observed", "pixelwise", "no_gradient"}
    assert not sensor.exact
    assert sensor.gradient == "exact"
    theta = sensor.sample(3, SHAPE, gen())
    assert sensor.observed(theta, SHAPE) is None
    assert sensor.known(theta) is None


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_shapes_and_dtypes_of_any_channels(sensor, channels):
    shape = (channels, 16, 12)
    theta = sensor.sample(4, shape, gen())
    assert theta
    assert all(len(value) == 4 for value in theta.values())
    whole = sensor.measure(pictures(4, shape), theta)
    assert whole.shape == (4, *sensor.measured_shape(shape))
    for dtype, tolerance in [(torch.float64, 1e-5), (torch.bfloat16, 0.05)]:
        y = sensor.measure(pictures(4, shape).to(dtype), theta)
        assert y.dtype == dtype
        assert torch.allclose(y.float(), whole, atol=tolerance)


def test_the_contract_is_kept(options, sensor):
    assert check_measurement(sensor, SHAPE, facts=options.facts())


def test_the_gradient_is_exact(sensor):
    images = pictures(2, (2, 12, 8), torch.float64).requires_grad_()
    theta = sensor.sample(2, (2, 12, 8), gen())
    assert torch.autograd.gradcheck(lambda x: sensor.measure(x, theta), images, fast_mode=True)


def test_affine_in_the_picture_with_the_adjoint_as_its_gradient(sensor):
    theta = sensor.sample(3, SHAPE, gen())
    x, z = pictures(3, dtype=torch.float64), pictures(3, dtype=torch.float64, seed=2)
    offset = sensor.measure(torch.zeros_like(x), theta)

    def apply(images):
        return sensor.measure(images, theta) - offset

    assert torch.allclose(apply(2 * x - 3 * z), 2 * apply(x) - 3 * apply(z), atol=1e-10)
    x.requires_grad_()
    y = apply(x)
    other = torch.rand(y.shape, dtype=y.dtype, generator=gen(4))
    (adjoint,) = torch.autograd.grad(y, x, other)
    assert torch.allclose((y * other).sum(), (x * adjoint).sum(), atol=1e-10)


def test_mirroring_is_declared_only_where_it_keeps_the_law(options, sensor):
    theta = sensor.sample(3, SHAPE, gen())
    mirrored = dict(theta)
    if "angle" in theta:
        mirrored["angle"] = math.pi - theta["angle"]
    elif "noise" in theta:
        mirrored["noise"] = theta["noise"].flip(-1)
    expected = sensor.measure(pictures(3), theta).flip(-1)
    assert torch.allclose(sensor.measure(pictures(3).flip(-1), mirrored), expected, atol=1e-5)
    if options is OPTIONS["motion range"]:
        assert "flip" not in sensor.symmetric
    else:
        assert "flip" in sensor.symmetric


def test_a_constant_picture_stays_constant_away_from_a_foreign_border():
    for options in (OPTIONS["box"], OPTIONS["motion"], *list(OPTIONS.values())[-2:]):
        still = build(options.model_copy(update={"noise": 0}) if hasattr(options, "noise") else options)
        images = torch.full((3, *SHAPE), 0.4)
        y = still.measure(images, still.sample(3, SHAPE, gen()))
        assert torch.allclose(y, torch.full_like(y, 0.4), atol=1e-6)


# convolve_noise ---------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(["zero", "reflect", "replicate"]),
    st.sampled_from([1, 3, 5, 7]),
    st.floats(0.3, 4),
    st.floats(-1, 1),
    st.integers(8, 13),
    st.integers(8, 13),
)
def test_blur_equals_scipy(padding, size, radius, border, height, width):
    sensor = ConvolveNoise(gaussian_profile(size, radius), 0.0, Border(padding, border))
    x = pictures(2, (2, height, width), torch.float64)
    y = sensor.measure(x, sensor.sample(2, (2, height, width), gen()))
    place = np.arange(size) - size // 2
    kernel = np.exp(-(place[:, None] ** 2 + place**2) / (2 * radius**2))
    kernel = (kernel / kernel.sum())[None, None]
    expected = ndimage.convolve(x.numpy(), kernel, mode=SCIPY_MODES[padding], cval=border)
    assert np.allclose(y.numpy(), expected, atol=1e-12)


def test_blur_equals_torchvision():
    sensor = ConvolveNoise(gaussian_profile(5, 1.0), 0.0, Border("reflect"))
    x = pictures()
    y = sensor.measure(x, sensor.sample(5, SHAPE, gen()))
    assert torch.allclose(y, gaussian_blur(x, [5, 5], [1.0, 1.0]), atol=1e-6)


def test_box_equals_the_uniform_filter():
    sensor = ConvolveNoise(box_profile(5), 0.0, Border("replicate"))
    x = pictures(2, (1, 9, 11), torch.float64)
    expected = ndimage.uniform_filter(x.numpy(), (0, 0, 5, 5), mode="nearest")
    assert np.allclose(sensor.measure(x, sensor.sample(2, (1, 9, 11), gen())).numpy(), expected)


def test_zero_of_pictures_in_0_1_is_border_minus_1():
    x = pictures(2, dtype=torch.float64)
    black = ConvolveNoise(gaussian_profile(5, 1.0), 0.0, Border("zero", -1.0))
    grey = ConvolveNoise(gaussian_profile(5, 1.0), 0.0)
    theta = grey.sample(2, SHAPE, gen())
    in_0_1 = grey.measure((x + 1) / 2, theta)  # the paper's units, its SAME convolution
    assert torch.allclose(black.measure(x, theta), 2 * in_0_1 - 1)
    assert not torch.allclose(black.measure(x, theta), grey.measure(x, theta))


def test_noise_has_its_moments_and_is_added_after_the_blur():
    noisy = build(ConvolveNoiseOptions(noise=0.3))
    theta = noisy.sample(100, (3, 32, 16), gen())
    noise = theta["noise"]
    count = noise.numel()
    assert abs(noise.mean()) < 4 * 0.3 / math.sqrt(count)
    assert abs(noise.var() / 0.09 - 1) < 4 * math.sqrt(2 / count)
    neighbours = (noise[..., 1:] * noise[..., :-1]).mean() / 0.09
    assert abs(neighbours) < 4 / math.sqrt(count)
    x = pictures(100, (3, 32, 16))
    plain = build(ConvolveNoiseOptions(noise=0))
    clean = plain.measure(x, plain.sample(100, (3, 32, 16), gen()))
    assert torch.equal(noisy.measure(x, theta), clean + noise)


# motion_blur ------------------------------------------------------------------------------------


def kernel(length, angle):
    sensor = MotionBlur((length, length), (angle, angle))
    return sensor.kernels({"angle": torch.tensor([math.radians(angle)]), "length": torch.tensor([length])})[0]


def test_an_odd_path_along_an_axis_is_the_mean_of_its_pixels():
    x = pictures(2, (1, 9, 11), torch.float64)
    for angle, sizes in [(0.0, (0, 0, 1, 5)), (90.0, (0, 0, 5, 1))]:
        sensor = MotionBlur((5.0, 5.0), (angle, angle))
        y = sensor.measure(x, sensor.sample(2, (1, 9, 11), gen()))
        assert np.allclose(y.numpy(), ndimage.uniform_filter(x.numpy(), sizes, mode="nearest"), atol=1e-6)


def test_a_path_of_one_pixel_does_not_blur():
    assert torch.allclose(kernel(1.0, 0.0), torch.tensor([[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.floats(1, 30), st.floats(-180, 180))
def test_kernels_sum_to_one_lie_along_the_path_and_are_not_cut_off(length, angle):
    weight = kernel(length, angle).double()
    reach = len(weight) // 2
    assert weight.shape == (2 * reach + 1, 2 * reach + 1)
    assert abs(weight.sum() - 1) < 1e-5
    assert torch.allclose(weight, weight.flip(0, 1), atol=1e-6)
    larger = MotionBlur((length, length + 6), (angle, angle))
    theta = {"angle": torch.tensor([math.radians(angle)]), "length": torch.tensor([length])}
    wide = larger.kernels(theta)[0].double()
    margin = (len(wide) - len(weight)) // 2
    assert torch.allclose(wide[margin:-margin, margin:-margin], weight, atol=1e-5)
    offset = torch.arange(-reach, reach + 1).double()
    a = math.radians(angle)
    along = offset * math.cos(a) - offset[:, None] * math.sin(a)  # rows count downwards
    across = -offset[:, None] * math.cos(a) - offset * math.sin(a)
    assert abs((weight * along**2).sum() - (length**2 - 1) / 12) < 0.2 + length / 8
    assert (weight * across**2).sum() < 0.3


def test_paths_are_uniform_over_their_ranges():
    theta = MotionBlur((5.0, 15.0), (-30.0, 60.0)).sample(20_000, SHAPE, gen())
    for value, low, high in [(theta["length"], 5, 15), (theta["angle"].rad2deg(), -30, 60)]:
        assert value.min() >= low - 1e-4
        assert value.max() <= high + 1e-4
        counts = torch.histc(value.double(), 20, low, high)
        assert ((counts - 1000).square() / 1000).sum() < 43.8  # 19 degrees of freedom, one in a thousand
    assert abs(torch.corrcoef(torch.stack([theta["length"], theta["angle"]]))[0, 1]) < 0.03


def test_each_picture_has_its_own_kernel_for_all_its_channels():
    sensor = MotionBlur((5.0, 9.0))
    same = pictures(1, (1, 16, 16)).expand(4, 3, 16, 16)
    y = sensor.measure(same, sensor.sample(4, (3, 16, 16), gen()))
    assert torch.allclose(y[:, :1].expand_as(y), y, atol=1e-6)
    assert all((y[i] - y[j]).abs().max() > 0.05 for i in range(4) for j in range(i))


# downsample -------------------------------------------------------------------------------------


def test_box_is_the_mean_of_squares():
    x = pictures(2, (3, 12, 8), torch.float64)
    y = Downsample(4).measure(x, Downsample(4).sample(2, SHAPE, gen()))
    assert torch.allclose(y, x.reshape(2, 3, 3, 4, 2, 4).mean((3, 5)))


def test_bicubic_equals_the_kernel_that_picture_programs_use():
    from PIL import Image

    x = pictures(1, (1, 24, 16))
    y = Downsample(4, "bicubic").measure(x, Downsample(4).sample(1, (1, 24, 16), gen()))
    expected = np.asarray(Image.fromarray(x[0, 0].numpy()).resize((4, 6), Image.Resampling.BICUBIC))
    assert np.allclose(y[0, 0].numpy(), expected, atol=1e-5)


def test_antialiasing_leaves_nothing_of_the_finest_stripes():
    stripes = torch.ones(1, 1, 32, 32)
    stripes[..., ::2] = -1
    assert stripes[..., ::2].mean() == -1  # what plain subsampling would make of them
    for antialias in ("box", "bicubic"):
        y = Downsample(2, antialias).measure(stripes, {"nothing": torch.empty(1, 0)})
        assert y[..., 2:-2].abs().max() < 1e-5


# What is refused --------------------------------------------------------------------------------


def complaints(options, size=None):
    found = list(options.complaints(Context(image_size=size)))
    assert not any(complaint.warning for complaint in found)
    assert all(complaint.remedy for complaint in found)
    return [(complaint.field, complaint.message) for complaint in found]


def test_good_options_are_not_complained_about(options):
    assert not complaints(options)
    assert not complaints(options, (16, 12))


@pytest.mark.parametrize(
    ("options", "field", "message"),
    [
        (ConvolveNoiseOptions(size=4), "size", "no middle pixel"),
        (ConvolveNoiseOptions(kernel="box", radius=2), "radius", "a box has no radius"),
        (ConvolveNoiseOptions(padding="reflect", border=0), "border", "padding: zero alone, not by reflect"),
        (ConvolveNoiseOptions(padding="reflect", size=25), "padding", "reaches 12 pixels over the edge"),
        (MotionBlurOptions(border=0), "border", "padding: zero alone, not by replicate"),
        (MotionBlurOptions(length=(3, 40), padding="reflect"), "padding", "further than 16x12 pixels"),
        (MotionBlurOptions(length=(9, 3)), "length", "the range [9, 3] descends"),
        (MotionBlurOptions(angle=(90, 0)), "angle", "the range [90, 0] descends"),
        (DownsampleOptions(factor=3), "factor", "16x12 has a side that is no multiple of 3"),
    ],
)
def test_complaints(options, field, message):
    ((where, what),) = complaints(options, (16, 12))
    assert where == field
    assert message in what


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (ConvolveNoiseOptions, {"noise": -1}),
        (ConvolveNoiseOptions, {"radius": 0}),
        (ConvolveNoiseOptions, {"border": 2}),
        (ConvolveNoiseOptions, {"kernel": "disc"}),
        (MotionBlurOptions, {"length": (0.5, 2)}),
        (MotionBlurOptions, {"angle": 30}),
        (DownsampleOptions, {"factor": 1}),
        (DownsampleOptions, {"antialias": "none"}),
    ],
)
def test_bad_options_are_refused(make, bad):
    with pytest.raises(ValidationError):
        make(**bad)


def test_sizes_that_do_not_fit_are_data_errors():
    reflecting = build(ConvolveNoiseOptions(padding="reflect", size=9))
    with pytest.raises(
        DataError, match=r"reaches 4 pixels over the edge, further than 4x8.*padding: replicate"
    ):
        reflecting.sample(1, (3, 4, 8), gen())
    with pytest.raises(DataError, match="further than 4x8"):
        reflecting.measure(torch.zeros(1, 3, 4, 8), {"noise": torch.zeros(1, 3, 4, 8)})
    with pytest.raises(DataError, match="further than 7x9 pixels mirror"):
        MotionBlur((5, 15), border=Border("reflect")).sample(1, (1, 7, 9), gen())
    for call in (Downsample(3).measured_shape, lambda shape: Downsample(3).sample(1, shape, gen())):
        with pytest.raises(DataError, match="12x8 has a side that is no multiple of 3; use another `factor`"):
            call((1, 12, 8))
    with pytest.raises(DataError, match="no middle pixel"):
        ConvolveNoise(box_profile(4))


def test_the_kinds_of_this_plugin():
    components = list(register_measurements())
    assert {component.kind for component in components} == set(KINDS.values())
    assert all(component.summary.endswith(".") for component in components)


def test_of_an_even_kernel_the_odd_neighbours_are_named():
    (found,) = ConvolveNoiseOptions(size=6).complaints(Context(image_size=(16, 12)))
    assert found.remedy == "use 5 or 7"


def test_beyond_the_edge_is_grey_unless_it_is_said():
    assert ConvolveNoiseOptions().outside == 0 and ConvolveNoiseOptions(border=-1).outside == -1


@pytest.mark.parametrize(
    ("angle", "flips"),
    [
        ((30, 150), True),
        ((-30, 30), True),
        ((60, 120), True),
        ((0, 180), True),
        ((30, 120), False),
        ((10, 10), False),
    ],
)
def test_directions_mirror_onto_themselves_about_a_multiple_of_90(angle, flips):
    assert ("flip" in MotionBlurOptions(angle=angle).facts()) == flips


@pytest.mark.parametrize(("size", "radius", "identified"), [(3, 0.5, True), (5, 0.6, True), (3, 3.0, False)])
def test_a_blur_is_undone_where_no_frequency_is_lost(size, radius, identified):
    """The transform of the kernel, at every frequency of a long line, decides."""
    options = ConvolveNoiseOptions(kernel="gaussian", size=size, radius=radius, noise=0.1)
    profile = gaussian_profile(size, options.sigma)
    line = torch.zeros(4096, dtype=torch.float64)
    line[:size] = torch.as_tensor(profile, dtype=torch.float64)
    lowest = torch.fft.fft(torch.roll(line, -(size // 2))).real.min()
    assert (lowest > 0) == identified
    assert (options.identifiability(Context()) is not None) == identified


def test_a_box_of_any_width_loses_a_frequency():
    assert ConvolveNoiseOptions(kernel="box", size=3).identifiability(Context()) is None
    assert ConvolveNoiseOptions(kernel="box", size=1).identifiability(Context()) is not None
