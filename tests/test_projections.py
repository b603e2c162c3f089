"""Projections and patches: equal to the reference, their laws, and what they refuse."""

import math

import numpy as np
import pytest
import torch
from ambientkit_plugins.projections import register_measurements
from ambientkit_plugins.projections.options import (
    ExtractPatchOptions,
    PadRotateProjectOptions,
    PadRotateProjectThetaOptions,
)
from ambientkit_plugins.projections.patch import ExtractPatch
from ambientkit_plugins.projections.radon import PadRotateProject, PadRotateProjectTheta, padded_side
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from skimage.transform import radon

from ambientkit import Context
from ambientkit.errors import DataError
from ambientkit.testing import check_measurement

SHAPE = (3, 12, 7)
OPTIONS = {
    "project": PadRotateProjectOptions(),
    "project 3 grey": PadRotateProjectOptions(angles=3, air=0, scale="mean"),
    "theta": PadRotateProjectThetaOptions(angles=2),
    "patch": ExtractPatchOptions(size=(4, 3), fill=0.5),
    "patch alone": ExtractPatchOptions(size=5, pad=False),
}
KINDS = {
    PadRotateProjectOptions: "pad_rotate_project",
    PadRotateProjectThetaOptions: "pad_rotate_project_theta",
    ExtractPatchOptions: "extract_patch",
}


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
    assert ("flip" in facts) == ("flip" in sensor.symmetric)
    assert ("reshapes" in facts) == (sensor.measured_shape(SHAPE)[-2:] != SHAPE[-2:])
    assert not facts & {"exact", "observed", "pixelwise", "no_gradient"}
    assert not sensor.exact
    assert sensor.gradient == "exact"
    theta = sensor.sample(3, SHAPE, gen())
    assert sensor.observed(theta, SHAPE) is None
    told = sensor.known(theta)
    assert (told is not None) == (options is OPTIONS["theta"])
    if told is not None:
        assert torch.equal(told["angle"], theta["angle"])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(12, 7), (7, 12), (9, 9)])
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


# Projections ------------------------------------------------------------------------------------

DEGREES = [0.0, 17.5, 45.0, 90.0, 123.0, 180.0, 260.0, 333.3]


def sinogram(x, degrees, **options):
    sensor = PadRotateProject(len(degrees), **options)
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad().expand(len(x), -1)
    return sensor.measure(x, {"angle": angle})


@pytest.mark.parametrize("size", [(17, 17), (21, 21), (15, 23), (23, 15)])
def test_projections_equal_scikit_images_radon(size):
    """Odd sides alone: radon turns about pixel side // 2, which is the middle of those only."""
    x = pictures(2, (1, *size), torch.float64)
    x[
        ..., [0, 0, -1, -1], [0, -1, 0, -1]
    ] = -1.0  # radon's canvas may be a sample smaller and cut corners off
    y = sinogram(x, DEGREES)
    for picture, rows in zip(x, y, strict=True):
        expected = radon((picture[0].numpy() + 1) / 2, DEGREES, circle=False).T
        reach = (min(y.shape[-1], expected.shape[-1]) - 1) // 2
        ours, theirs = y.shape[-1] // 2, expected.shape[-1] // 2
        common = expected[:, theirs - reach : theirs + reach + 1]
        assert np.allclose(rows[0, :, ours - reach : ours + reach + 1].numpy(), common, atol=1e-9)
        assert np.isclose(common.sum(), expected.sum())


@pytest.mark.parametrize("size", [(28, 28), (64, 64), (12, 20), (9, 9)])
def test_right_angles_sum_columns_and_rows(size):
    x = pictures(2, (2, *size), torch.float64)
    y = sinogram(x, [0.0, 90.0, 180.0, 270.0], air=0.0)
    side = padded_side(*size)
    top, left = ((side - s) / 2 for s in size)
    assert top == int(top)
    assert left == int(left)
    columns = torch.nn.functional.pad(x.sum(-2), [int(left)] * 2)
    rows = torch.nn.functional.pad(x.sum(-1), [int(top)] * 2)
    for row, expected in enumerate([columns, rows.flip(-1), columns.flip(-1), rows]):
        assert torch.allclose(y[:, :, row], expected, atol=1e-10)


def test_the_padded_side_is_ambientgans():
    assert padded_side(28, 28) == 28 + 2 * 6
    assert padded_side(64, 64) == 64 + 2 * 14


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40))
def test_no_pixel_turns_out_of_the_padded_side(height, width):
    side = padded_side(height, width)
    assert side % 2 == max(height, width) % 2
    assert math.hypot(height, width) <= side < math.hypot(height, width) + 2
    assert padded_side(width, height) == side


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.floats(-1, 0.5))
def test_every_projection_has_the_mass_of_a_smooth_picture(seed, air):
    place = torch.arange(24, dtype=torch.float64) - 11.5
    blob = torch.exp(-(place.square() + (place - 4).square()[:, None]) / 18)
    x = (air + (1 - air) * 0.5 * blob)[None, None]
    angle = PadRotateProject(4).sample(1, (1, 24, 24), gen(seed))["angle"]
    y = PadRotateProject(4, air).measure(x, {"angle": angle})
    assert torch.allclose(y.sum(-1), 0.5 * blob.sum().expand(1, 1, 4), rtol=2e-2)


def test_air_projects_to_nothing_and_units_are_as_said():
    theta = {"angle": torch.tensor([[0.3], [2.0]])}
    for air in (-1.0, 0.0, 0.25):
        assert not PadRotateProject(1, air).measure(torch.full((2, 1, 8, 8), air), theta).any()
    x = pictures(2, (1, 8, 8), torch.float64)
    straight = {"angle": torch.zeros(2, 1)}
    side = padded_side(8, 8)
    for air, intensity in [(-1.0, (x + 1) / 2), (0.0, x)]:
        total = PadRotateProject(1, air).measure(x, straight)
        assert torch.allclose(total[..., 2:-2], intensity.sum(-2, keepdim=True))
        assert torch.allclose(PadRotateProject(1, air, "mean").measure(x, straight) * side, total)


def test_projections_of_one_picture_are_rows_of_their_own():
    x = pictures(2, (2, 9, 9), torch.float64)
    together = sinogram(x, DEGREES)
    for row, degree in enumerate(DEGREES):
        assert torch.allclose(sinogram(x, [degree])[:, :, 0], together[:, :, row])


def test_a_mirrored_projection_is_another_one():
    x = pictures(3, dtype=torch.float64)
    theta = PadRotateProject(2).sample(3, SHAPE, gen())
    opposite = {"angle": theta["angle"].double() + math.pi}
    mirrored = PadRotateProject(2).measure(x, {"angle": theta["angle"].double()}).flip(-1)
    assert torch.allclose(PadRotateProject(2).measure(x, opposite), mirrored)
    assert PadRotateProject(2).symmetric == {"flip"}
    assert not PadRotateProjectTheta(2).symmetric


def test_angles_are_uniform_and_independent():
    angle = PadRotateProject(2).sample(20_000, SHAPE, gen())["angle"]
    assert angle.shape == (20_000, 2)
    assert angle.min() >= -math.pi
    assert angle.max() <= math.pi
    for each in angle.T:
        counts = torch.histc(each.double(), 20, -math.pi, math.pi)
        assert ((counts - 1000).square() / 1000).sum() < 43.8  # 19 degrees of freedom, one in a thousand
    assert abs(torch.corrcoef(angle.T)[0, 1]) < 0.03


# extract_patch ----------------------------------------------------------------------------------


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(1, 9), st.booleans(), st.data())
def test_a_patch_is_the_crop_at_its_corner(height, width, pad, data):
    tall, wide = data.draw(st.integers(1, height)), data.draw(st.integers(1, width))
    sensor = ExtractPatch((tall, wide), 0.25 if pad else None)
    x = pictures(6, (2, height, width))
    theta = sensor.sample(6, (2, height, width), gen(data.draw(st.integers(0, 99))))
    y = sensor.measure(x, theta)
    top, left = (height - tall) // 2, (width - wide) // 2
    for i, (row, column) in enumerate(theta["corner"].tolist()):
        crop = x[i, :, row : row + tall, column : column + wide]
        expected = crop
        if pad:
            expected = torch.full((2, height, width), 0.25)
            expected[:, top : top + tall, left : left + wide] = crop
        assert torch.equal(y[i], expected)


def test_corners_are_uniform_over_all_offsets_the_last_included():
    corner = ExtractPatch((14, 15)).sample(40_000, (1, 17, 19), gen())["corner"]
    assert corner.dtype == torch.int64
    counts = torch.bincount(corner[:, 0] * 5 + corner[:, 1], minlength=20).double()
    assert len(counts) == 20
    assert ((counts - 2000).square() / 2000).sum() < 43.8  # 19 degrees of freedom, one in a thousand


def test_the_surround_is_black_unless_said_otherwise():
    assert build(ExtractPatchOptions()).surround == -1
    assert build(ExtractPatchOptions(fill=0)).surround == 0
    assert build(ExtractPatchOptions(pad=False)).surround is None


def test_a_lone_patch_may_be_mirrored():
    sensor = ExtractPatch((4, 3), None)
    theta = sensor.sample(5, SHAPE, gen())
    row, column = theta["corner"].unbind(-1)
    mirrored = {"corner": torch.stack([row, 7 - 3 - column], -1)}
    assert torch.equal(
        sensor.measure(pictures().flip(-1), mirrored), sensor.measure(pictures(), theta).flip(-1)
    )
    assert sensor.symmetric == {"flip"}
    assert not ExtractPatch((4, 3)).symmetric


def test_what_lies_outside_the_patch_does_not_leak():
    sensor = ExtractPatch((4, 3))
    theta = sensor.sample(5, SHAPE, gen())
    x = pictures().requires_grad_()
    (gradient,) = torch.autograd.grad(sensor.measure(x, theta).sum(), x)
    hidden = torch.where(gradient > 0, x.detach(), float("nan"))
    assert gradient.sum() == 5 * 3 * 4 * 3
    assert torch.equal(sensor.measure(hidden, theta), sensor.measure(x, theta))


# What is refused --------------------------------------------------------------------------------


def complaints(options, size=None):
    found = list(options.complaints(Context(image_size=size)))
    assert all(complaint.remedy for complaint in found)
    return [(complaint.field, complaint.message, complaint.warning) for complaint in found]


def test_good_options_are_not_complained_about(options):
    assert not complaints(options)
    assert not complaints(options, (12, 7))


def test_complaints_of_patches():
    ((field, message, warning),) = complaints(ExtractPatchOptions(pad=False, fill=0.0))
    assert (field, message, warning) == ("fill", "is used with pad: true alone", False)
    ((field, message, warning),) = complaints(ExtractPatchOptions(size=(14, 5)), (13, 9))
    assert (field, warning) == ("size", False)
    assert message == "a patch of 14x5 does not fit into a picture of 13x9"
    ((field, message, warning),) = complaints(ExtractPatchOptions(size=14), (14, 14))
    assert (field, warning) == ("size", True)
    assert "loses nothing" in message


def test_sizes_that_do_not_fit_are_data_errors():
    with pytest.raises(DataError, match="14x14 does not fit into a picture of 28x13; use a smaller `size`"):
        ExtractPatch((14, 14)).sample(1, (1, 28, 13), gen())


@pytest.mark.parametrize(
    ("make", "bad"),
    [
        (PadRotateProjectOptions, {"angles": 0}),
        (PadRotateProjectOptions, {"air": 1}),
        (PadRotateProjectThetaOptions, {"scale": "max"}),
        (ExtractPatchOptions, {"size": 0}),
        (ExtractPatchOptions, {"fill": 3}),
    ],
)
def test_bad_options_are_refused(make, bad):
    with pytest.raises(ValidationError):
        make(**bad)


def test_the_kinds_of_this_plugin():
    components = list(register_measurements())
    assert {component.kind for component in components} == set(KINDS.values())
    assert all(component.summary.endswith(".") for component in components)


def test_of_hand_a_projection_has_one_angle_of_black_air():
    sensor = PadRotateProject()
    assert (sensor.angles, sensor.air, sensor.scale) == (1, -1.0, "sum")
