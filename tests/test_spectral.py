"""Spectra and compressed sensing: energy, masks, matrices, and what is refused."""

import copy
import math
import pickle

import numpy as np
import pytest
import torch
from ambientkit_plugins.spectral import register_measurements
from ambientkit_plugins.spectral.compressed import CompressedSensing
from ambientkit_plugins.spectral.fourier import Fourier, centred_spectrum
from ambientkit_plugins.spectral.options import CompressedSensingOptions, FourierOptions, draw_rate
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import fft

from ambientkit import Context
from ambientkit.errors import DataError
from ambientkit.testing import check_measurement

SHAPE = (3, 12, 7)
MATRICES = ("gaussian", "rademacher", "subsampled_dct")
OPTIONS = {
    "lines": FourierOptions(),
    "points": FourierOptions(pattern="points", acceleration=3, noise=0.1),
    "all noisy": FourierOptions(acceleration=1, noise=0.1),
    "whole": FourierOptions(acceleration=1),
    "gaussian": CompressedSensingOptions(),
    "rademacher": CompressedSensingOptions(matrix="rademacher", ratio=0.3, noise=0.1),
    "dct": CompressedSensingOptions(matrix="subsampled_dct", measurements=9),
}
KINDS = {FourierOptions: "fourier", CompressedSensingOptions: "compressed_sensing"}


def build(options, context=None):
    builds = {component.kind: component.build for component in register_measurements()}
    return builds[KINDS[type(options)]](options, context or Context())


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(n=5, shape=SHAPE, dtype=torch.float32, seed=1):
    return torch.rand(n, *shape, generator=gen(seed), dtype=dtype) * 2 - 1


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
    assert ("reshapes" in facts) == (sensor.measured_shape(SHAPE)[-2:] != SHAPE[-2:])
    assert not facts & {"exact", "observed", "pixelwise", "no_gradient", "flip"}
    assert not sensor.exact
    assert not sensor.symmetric
    assert sensor.gradient == "exact"
    assert sensor.observed(sensor.sample(3, SHAPE, gen()), SHAPE) is None


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(12, 7), (7, 12), (16, 16)])
def test_shapes_and_dtypes(sensor, channels, size):
    shape = (channels, *size)
    theta = sensor.sample(4, shape, gen())
    assert theta
    assert all(len(value) == 4 for value in theta.values())
    whole = sensor.measure(pictures(4, shape), theta)
    assert whole.shape == (4, *sensor.measured_shape(shape))
    for dtype, tolerance in [(torch.float64, 1e-4), (torch.bfloat16, 0.1)]:
        y = sensor.measure(pictures(4, shape).to(dtype), theta)
        assert y.dtype == dtype
        assert torch.allclose(y.float(), whole, atol=tolerance)


def test_the_contract_is_kept(options, sensor):
    assert check_measurement(sensor, SHAPE, facts=options.facts())


def test_the_gradient_is_exact(sensor):
    images = pictures(2, (2, 6, 5), torch.float64).requires_grad_()
    theta = sensor.sample(2, (2, 6, 5), gen())
    assert torch.autograd.gradcheck(lambda x: sensor.measure(x, theta), images)


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
    assert torch.allclose((y * other).sum(), (x * adjoint).sum(), atol=1e-9)


# fourier ----------------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4))
def test_the_whole_spectrum_keeps_the_energy_and_is_scipys(height, width, channels):
    shape = (channels, height, width)
    sensor, x = Fourier(acceleration=1), pictures(3, shape, torch.float64)
    y = sensor.measure(x, sensor.sample(3, shape, gen()))
    assert torch.allclose(y.square().sum((1, 2, 3)), x.square().sum((1, 2, 3)))  # Parseval
    expected = fft.fftshift(fft.fft2(fft.ifftshift(x.numpy(), (-2, -1)), norm="ortho"), (-2, -1))
    assert np.allclose(y[:, :channels].numpy(), expected.real)
    assert np.allclose(y[:, channels:].numpy(), expected.imag)


def test_frequency_0_is_in_the_middle_and_a_spot_in_the_middle_has_no_phase():
    for height, width in [(8, 6), (7, 5)]:
        real, imaginary = centred_spectrum(torch.full((1, 1, height, width), 0.5))[0]
        assert torch.isclose(real[height // 2, width // 2], torch.tensor(0.5 * math.sqrt(height * width)))
        assert real.abs().gt(1e-5).sum() == 1 and imaginary.abs().max() < 1e-5
        spot = torch.zeros(1, 1, height, width)
        spot[..., height // 2, width // 2] = 1
        real, imaginary = centred_spectrum(spot)[0]
        assert torch.allclose(real, torch.tensor(1 / math.sqrt(height * width)))
        assert imaginary.abs().max() < 1e-6


@pytest.mark.parametrize("pattern", ["lines", "points"])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_zero_off_the_mask_and_the_whole_spectrum_on_it(pattern, noise):
    sensor, x = Fourier(3.0, 0.1, pattern, noise), pictures(8)
    theta = sensor.sample(8, SHAPE, gen())
    mask = sensor.known(theta)[pattern]
    assert set(sensor.known(theta)) == {pattern}
    assert mask.dtype == torch.bool
    assert mask.shape == ((8, 7) if pattern == "lines" else (8, 12, 7))
    full = mask[:, None, None] if pattern == "lines" else mask[:, None]
    full = full.expand(8, 6, 12, 7)
    y, spectrum = sensor.measure(x, theta), centred_spectrum(x)
    expected = spectrum + (theta["noise"] if noise else 0)
    assert not y[~full].any()
    assert torch.equal(y[full], expected[full])
    assert 0 < full.float().mean() < 1


@settings(max_examples=30, deadline=None)
@given(st.integers(4, 40), st.integers(4, 40), st.floats(0.01, 0.2), st.sampled_from(["lines", "points"]))
def test_the_centre_is_always_kept(height, width, centre, pattern):
    sensor = Fourier(2.0, centre, pattern)
    mask = sensor.sample(40, (1, height, width), gen())[pattern]
    always = mask.all(0)
    if pattern == "lines":
        always = always.expand(height, width)
        tall, wide = height, max(1, round(centre * width))
    else:
        tall, wide = (max(1, round(math.sqrt(centre) * side)) for side in (height, width))
    top, left = height // 2 - tall // 2, width // 2 - wide // 2
    assert always[top : top + tall, left : left + wide].all()
    assert always[height // 2, width // 2]


@pytest.mark.parametrize("pattern", ["lines", "points"])
@pytest.mark.parametrize(("acceleration", "centre"), [(4.0, 0.08), (2.5, 0.2), (8.0, 0.0)])
def test_one_over_acceleration_is_measured(pattern, acceleration, centre):
    n, shape = 2000, (1, 16, 24)
    mask = Fourier(acceleration, centre, pattern).sample(n, shape, gen())[pattern].double()
    deviation = math.sqrt(1 / acceleration / mask.numel())
    assert abs(mask.mean() - 1 / acceleration) < 4 * deviation
    rates = mask.mean(0)
    drawn = rates[rates < 1]
    p = draw_rate(acceleration, centre, pattern, shape[1:])
    assert len(drawn)
    assert (drawn - p).abs().max() < 5 * math.sqrt(p * (1 - p) / n)
    neighbours = torch.corrcoef(mask.reshape(n, -1)[:, :2].T)[0, 1]  # at a corner: beyond the centre
    assert abs(neighbours) < 4 / math.sqrt(n)


def test_noise_of_spectra_has_its_moments():
    noise = Fourier(noise=0.3).sample(50, (3, 32, 16), gen())["noise"]
    assert noise.shape == (50, 6, 32, 16)
    assert abs(noise.mean()) < 4 * 0.3 / math.sqrt(noise.numel())
    assert abs(noise.var() / 0.09 - 1) < 4 * math.sqrt(2 / noise.numel())


# compressed_sensing -----------------------------------------------------------------------------


def matrix_of(sensor, shape):
    """A, (m, d) float64, column by column."""
    basis = torch.eye(math.prod(shape), dtype=torch.float64).reshape(-1, *shape)
    return sensor.operator(shape, basis)(basis).T


@pytest.mark.parametrize("kind", MATRICES)
def test_matrices_keep_the_energy_on_average(kind):
    shape = (2, 16, 12)
    a = matrix_of(CompressedSensing(0.5, kind), shape)
    assert a.shape == (192, 384)
    squares = a.square().sum(0)  # of each column; 1 in expectation
    assert abs(squares.mean() - 1) < 0.03
    assert (squares - 1).abs().max() < 0.5
    x = pictures(64, shape, torch.float64)
    ratio = (x.flatten(1) @ a.T).square().sum(1) / x.square().sum((1, 2, 3))
    assert abs(ratio.mean() - 1) < 0.05


def test_gaussian_entries_are_gaussian_and_rademacher_ones_are_signs():
    a = matrix_of(CompressedSensing(0.5), (1, 20, 20)) * math.sqrt(200)
    assert abs(a.mean()) < 4 / math.sqrt(a.numel())
    assert abs(a.var() - 1) < 4 * math.sqrt(2 / a.numel())
    assert abs(a.pow(4).mean() - 3) < 4 * math.sqrt(96 / a.numel())
    signs = matrix_of(CompressedSensing(0.5, "rademacher"), (1, 20, 20)) * math.sqrt(200)
    assert torch.allclose(signs.abs(), torch.ones_like(signs))
    assert abs(signs.mean()) < 4 / math.sqrt(signs.numel())


def test_the_structured_matrix_is_signs_dct_and_a_choice():
    shape, x = (3, 8, 6), pictures(4, (3, 8, 6), torch.float64)
    sensor = CompressedSensing(40, "subsampled_dct", seed=5)
    operator = sensor.operator(shape, x)
    expected = fft.dctn((x * operator.signs).numpy(), axes=(1, 2, 3), norm="ortho").reshape(4, -1)
    y = sensor.measure(x, {"nothing": torch.empty(4, 0)}).numpy()
    assert np.allclose(y, expected[:, operator.kept.numpy()] * math.sqrt(144 / 40))
    assert len(set(operator.kept.tolist())) == 40
    assert set(operator.signs.unique().tolist()) == {-1.0, 1.0}
    a = matrix_of(CompressedSensing(1.0, "subsampled_dct"), shape)
    assert torch.allclose(a.T @ a, torch.eye(144, dtype=torch.float64), atol=1e-10)


@pytest.mark.parametrize("kind", MATRICES)
def test_the_matrix_depends_on_seed_and_shape_alone(kind):
    x = pictures()
    first = CompressedSensing(0.2, kind, seed=3)
    torch.manual_seed(0)
    y = first.measure(x, first.sample(5, SHAPE, gen()))
    later = CompressedSensing(0.2, kind, seed=3)
    torch.manual_seed(1)
    later.measure(x[..., :5], later.sample(5, (3, 12, 5), gen(1)))  # another size before
    assert torch.equal(later.measure(x, later.sample(5, SHAPE, gen(2))), y)
    other = CompressedSensing(0.2, kind, seed=4)
    assert not torch.allclose(other.measure(x, other.sample(5, SHAPE, gen())), y, atol=0.1)


def test_copies_and_pickles_carry_no_matrix():
    sensor, x = CompressedSensing(0.5), pictures(2, (1, 32, 32))
    y = sensor.measure(x, {"nothing": torch.empty(2, 0)})
    stored = pickle.dumps(sensor)
    assert len(stored) < 1000
    for twin in (pickle.loads(stored), copy.deepcopy(sensor)):
        assert torch.equal(twin.measure(x, {"nothing": torch.empty(2, 0)}), y)


def test_the_matrix_is_made_once_and_serves_training_if_made_during_inference():
    sensor, x = CompressedSensing(0.5), pictures(2)
    nothing = {"nothing": torch.empty(2, 0)}
    with torch.inference_mode():
        sensor.measure(x, nothing)
    made = sensor.operator(SHAPE, x)
    weight = torch.ones(1, requires_grad=True)
    sensor.measure(x * weight, nothing).sum().backward()
    assert weight.grad is not None
    assert sensor.operator(SHAPE, x) is made


def test_noise_of_measurements_has_its_moments():
    sensor, x = CompressedSensing(0.5, noise=0.3), pictures(200, (1, 16, 16))
    theta = sensor.sample(200, (1, 16, 16), gen())
    assert theta["noise"].shape == (200, 128)
    added = sensor.measure(x, theta) - CompressedSensing(0.5).measure(x, {})
    assert abs(added.mean()) < 4 * 0.3 / math.sqrt(added.numel())
    assert abs(added.var() / 0.09 - 1) < 4 * math.sqrt(2 / added.numel())


@settings(max_examples=40, deadline=None)
@given(st.floats(0.001, 1), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20))
def test_the_number_of_measurements(ratio, channels, height, width):
    values = channels * height * width
    (count,) = CompressedSensing(ratio).measured_shape((channels, height, width))
    assert 1 <= count <= values
    assert count == 1 or abs(count - ratio * values) <= 0.5
    assert CompressedSensing(count).measured_shape((channels, height, width)) == (count,)


# What is refused --------------------------------------------------------------------------------


def complaints(options, **context):
    found = list(options.complaints(Context(**context)))
    assert not any(complaint.warning for complaint in found)
    assert all(complaint.remedy for complaint in found)
    return [(complaint.field, complaint.message) for complaint in found]


def test_good_options_are_not_complained_about(options):
    assert not complaints(options)
    assert not complaints(options, image_size=(12, 7))
    assert not complaints(options, image_shape=SHAPE)


@pytest.mark.parametrize(
    ("options", "context", "field", "message"),
    [
        (FourierOptions(centre=0.3), {}, "centre", "0.3 is all that acceleration 4 measures"),
        (FourierOptions(centre=0.2), {"image_size": (9, 4)}, "centre", "would never be seen"),
        (FourierOptions(centre=0.3, pattern="points"), {}, "centre", "would never be seen"),
        (CompressedSensingOptions(ratio=0.5, measurements=3), {}, "ratio", "so does `measurements`"),
        (
            CompressedSensingOptions(measurements=253),
            {"image_shape": SHAPE},
            "measurements",
            "more measurements (253) than the picture has values (252)",
        ),
        (
            CompressedSensingOptions(),
            {"image_size": (256, 256)},
            "ratio",
            "a dense matrix of 6554 x 65536 needs 1.6 GiB",
        ),
    ],
)
def test_complaints(options, context, field, message):
    ((where, what),) = complaints(options, **context)
    assert where == field
    assert message in what


def test_channels_that_are_not_known_yet_are_not_complained_about():
    many = CompressedSensingOptions(measurements=100)
    assert not complaints(many, image_size=(7, 12))
    assert complaints(many, image_shape=(1, 7, 12))
    assert not complaints(CompressedSensingOptions(matrix="subsampled_dct"), image_size=(512, 512))


def test_sizes_that_do_not_fit_are_data_errors():
    with pytest.raises(
        DataError, match=r"centre of 0.2 is all that acceleration 4 measures.*use a centre well"
    ):
        Fourier(4, 0.2).sample(1, (1, 9, 4), gen())
    sensor = CompressedSensing(300)
    with pytest.raises(DataError, match=r"\(300\) than the picture has values \(252\); use at most 252"):
        sensor.sample(1, SHAPE, gen())
    with pytest.raises(DataError, match=r"\(300\) than the picture has values \(252\)"):
        sensor.measure(pictures(), {"nothing": torch.empty(5, 0)})
    with pytest.raises(DataError, match=r"4.5 GiB; use matrix: subsampled_dct"):
        CompressedSensing(0.5).measured_shape((3, 128, 128))


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (FourierOptions, {"acceleration": 0.5}),
        (FourierOptions, {"centre": 1}),
        (FourierOptions, {"pattern": "spiral"}),
        (FourierOptions, {"noise": -0.1}),
        (CompressedSensingOptions, {"ratio": 0}),
        (CompressedSensingOptions, {"measurements": 0}),
        (CompressedSensingOptions, {"seed": -1}),
        (CompressedSensingOptions, {"matrix": "hadamard"}),
    ],
)
def test_bad_options_are_refused(make, bad):
    with pytest.raises(ValidationError):
        make(**bad)


def test_the_kinds_of_this_plugin():
    components = list(register_measurements())
    assert {component.kind for component in components} == set(KINDS.values())
    assert all(component.summary.endswith(".") for component in components)
