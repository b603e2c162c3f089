"""The bridge to deepinv: what it lists without deepinv, and its operators under the contract with it."""

from __future__ import annotations

import pickle
import subprocess
import sys
from importlib.util import find_spec

import ambientkit_plugins.deepinv_bridge as bridge
import pytest
import torch
from ambientkit_plugins.deepinv_bridge.catalogue import KINDS, name_of
from deepinv_cases import BLIND, CORNERS, DEFAULTS, SQUARE, built, gen, needs_deepinv, options_of, pictures
from pydantic import ValidationError
from waiting import Waits

from ambientkit import Context
from ambientkit.errors import DataError, PluginError
from ambientkit.plugins import Plugins
from ambientkit.testing.measurement import check_measurement

# Without deepinv --------------------------------------------------------------------------------


def test_every_operator_is_listed_in_its_namespace():
    listed = {name for name in Plugins.discover(discover=False).registry.names("measurement") if "/" in name}
    assert listed == {f"deepinv/{kind}" for kind in KINDS}
    assert len(listed) >= 20
    assert DEFAULTS.keys() == KINDS.keys()


def test_listing_imports_neither_torch_nor_deepinv():
    code = (
        "import sys; from ambientkit_plugins.deepinv_bridge import register_measurements as r; "
        "assert all(c.options().facts() is not None for c in r()); "
        "sys.exit(bool({'torch', 'deepinv', 'matplotlib'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_building_without_deepinv_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(bridge, "find_spec", lambda name: None)
    component = next(iter(bridge.register_measurements()))
    with pytest.raises(PluginError, match=r"pip install \"ambientkit\[deepinv\]\""):
        component.build(component.options(), Context())


def test_a_deepinv_that_cannot_be_imported_is_an_error_of_the_plugin(monkeypatch):
    monkeypatch.setattr(bridge, "find_spec", lambda name: object())
    monkeypatch.setitem(sys.modules, "ambientkit_plugins.deepinv_bridge.sensor", None)
    with pytest.raises(PluginError, match=r"deepinv/haze needs deepinv 0.5, which cannot be imported"):
        bridge._build(options_of("haze"), Context())


@pytest.mark.parametrize("kind", KINDS)
def test_options_are_described_and_numbers_bounded(kind):
    fields = KINDS[kind].model_json_schema()["properties"] if KINDS[kind].model_fields else {}
    for name, schema in fields.items():
        assert schema.get("description"), name
        for part in [schema, *schema.get("anyOf", [])]:
            if part.get("type") in ("integer", "number"):
                assert {"minimum", "exclusiveMinimum"} & part.keys(), name
    assert KINDS[kind].__doc__.partition("\n")[0].endswith(".")
    assert name_of(KINDS[kind]()) == f"deepinv/{kind}"


@pytest.mark.parametrize(
    ("kind", "options", "shape", "said"),
    [
        ("inpainting_gaussian", {"center": 3}, None, "must be even"),
        ("inpainting_gaussian", {"center": 10}, (1, 8, 8), "does not fit"),
        ("inpainting_gaussian", {"center": 6, "keep": 0.1}, (1, 8, 8), "cannot be removed"),
        ("demosaicing", {}, (1, 8, 8), "takes pictures of 3 channel"),
        ("blur_gaussian", {"size": 4}, None, "no middle pixel"),
        ("blur_gaussian", {"sigma": (2, 1)}, None, "begins at 2"),
        ("blur_fft", {"sigma": (2, 1)}, None, "begins at 2"),
        ("blur_motion", {"size": 11}, (3, 8, 20), "does not fit"),
        ("space_varying_blur", {"size": 3}, (3, 12, 20), "at least 16x16"),
        ("space_varying_blur", {"sigma": (2, 1)}, None, "begins at 2"),
        ("tiled_blur", {"tile": 7}, None, "must be even"),
        ("tiled_blur", {"tile": 16}, (3, 12, 20), "a tile of 16x16 does not fit"),
        ("downsampling", {"factor": 4}, (3, 12, 20), "a kernel of 16x16"),
        ("downsampling_random", {}, (3, 12, 20), "a kernel of 15x15"),
        ("downsampling_matlab", {}, (3, 9, 20), "no multiple"),
        ("upsampling", {"filter": "gaussian"}, (3, 7, 20), "a kernel of 15x15"),
        ("pansharpen", {}, (3, 18, 20), "no multiple"),
        ("spectral_imaging", {}, (1, 8, 8), "2 channels or more"),
        ("haze", {"near": (2, 1), "far": (1, 0), "light": (1, 0)}, None, "begins at"),
        ("tomography", {}, (3, 8, 9), "square pictures"),
        ("compressed_sensing", {"rows": 81}, (3, 8, 10), "compress nothing"),
        ("compressed_sensing", {}, (3, 256, 256), "pseudo-inverse"),
        ("structured_random", {}, (3, 8, 10), "not fewer"),
        ("single_pixel_camera", {}, (3, 8, 10), "powers of two"),
        ("single_pixel_camera", {"ordering": "cake_cutting"}, (3, 8, 16), "square pictures"),
        ("single_pixel_camera", {"shots": 65}, (3, 8, 8), "64 coefficients"),
        ("mri", {}, (3, 8, 8), "1 or 2 channel"),
        ("mri", {"center": 0.4}, (1, 8, 8), "none is left"),
        ("phase_retrieval", {}, (1, 128, 64), "complex matrix"),
        ("ptychography", {}, (1, 8, 8), "a disk of 13x13"),
        ("scattering", {}, (1, 8, 9), "square pictures"),
        ("scattering", {"wavenumber": 50}, (1, 8, 8), "finer than two of 8 pixels"),
        ("salt_pepper_noise", {"salt": 0, "pepper": 0}, None, "sum between 0 and 1"),
        ("gaussian_noise", {"sigma": (2, 1)}, None, "begins at 2"),
        ("uniform_gaussian_noise", {"sigma": (2, 1)}, None, "begins at 2"),
        ("poisson_noise", {"gain": (2, 1)}, None, "begins at 2"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_built(kind, options, shape, said):
    complaints = list(options_of(kind, **options).complaints(Context(image_shape=shape)))
    assert any(said in complaint.message and complaint.remedy for complaint in complaints), complaints
    if shape is not None and find_spec("deepinv"):
        with pytest.raises(DataError, match=f"deepinv/{kind}: .*; "):
            built(kind, **options).sample(1, shape, gen())


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_of_the_tests_fit(kind):
    options, shape = DEFAULTS[kind]
    assert list(options_of(kind, **options).complaints(Context(image_shape=shape))) == []


def test_what_deepinv_would_ignore_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs"):
        options_of("inpainting", mask=0.5)


def test_verdicts_follow_the_mask():
    context = Context(image_shape=(3, 8, 8))
    assert options_of("inpainting").identifiability(context)[0] == "identified"
    assert options_of("inpainting", noise=0.1).identifiability(context) is None
    assert options_of("demosaicing").identifiability(context)[0] == "not identified"


# The contract -----------------------------------------------------------------------------------


def check(kind, options, shape):
    sensor = built(kind, **options)
    waived = BLIND if kind == "demosaicing" else None
    facts = sensor.options.facts()
    findings = check_measurement(sensor, shape, name=f"deepinv/{kind}", facts=facts, waived=waived)
    assert sum(finding.outcome == "passed" for finding in findings) > 15


@needs_deepinv
@pytest.mark.parametrize("kind", DEFAULTS)
def test_operators_keep_the_contract(kind):
    check(kind, *DEFAULTS[kind])


@needs_deepinv
@pytest.mark.parametrize(("kind", "options", "shape"), CORNERS, ids=str)
def test_option_corners_keep_the_contract(kind, options, shape):
    check(kind, options, shape)


@needs_deepinv
def test_a_size_that_deepinv_refuses_is_an_error_of_the_data(monkeypatch):
    sensor = built("blur_gaussian", size=5)
    monkeypatch.setattr(type(sensor.options), "of_size", lambda self, height, width: iter(()))
    with pytest.raises(DataError, match=r"deepinv/blur_gaussian: deepinv does not take pictures of 1x2x2"):
        sensor.measured_shape((1, 2, 2))


@needs_deepinv
def test_a_package_that_one_operator_needs_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(PluginError, match=r"deepinv/scattering: .*[Ss]ci[Pp]y.*ambientkit\[deepinv\]"):
        built("scattering").measured_shape((1, 8, 8))


@needs_deepinv
def test_building_an_operator_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    y = [built("tomography", angles=3).measure(pictures(2, SQUARE), {}) for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(*y)  # the norm, which deepinv draws a start for, is the same in every process


@needs_deepinv
def test_operators_built_in_inference_mode_serve_training():
    sensor, images = built("compressed_sensing", rows=5), pictures()
    with torch.inference_mode():
        sensor.measure(pictures(), {})
    sensor.measure(images.requires_grad_(), {}).sum().backward()
    assert images.grad.abs().sum() > 0


@needs_deepinv
def test_a_copy_holds_the_options_alone():
    sensor = built("compressed_sensing", rows=50)
    sensor.measured_shape((3, 16, 16))
    assert len(pickle.dumps(sensor)) < 1000


# What a GPU waits for ----------------------------------------------------------------------------

WAITED_FOR = {
    "demosaicing",
    "downsampling_matlab",
    "laplace_noise",
    "log_poisson_noise",
    "poisson_gaussian_noise",
    "poisson_noise",
    "rician_noise",
    "salt_pepper_noise",
    "scattering",
    "spectral_imaging",
    "tomography",
    "tomography_fan",
    "uniform_noise",
}
"""Whose `measure` makes a GPU's host wait, mostly in deepinv itself: it reads or makes numbers there."""


@needs_deepinv
@pytest.mark.parametrize("kind", sorted(DEFAULTS.keys() - WAITED_FOR))
def test_no_other_operator_makes_a_gpu_wait_where_it_measures(kind):
    options, shape = DEFAULTS[kind]
    sensor, images = built(kind, **options), pictures(4, shape)
    theta = sensor.sample(4, shape, gen())
    for _ in range(2):
        with Waits() as waits:
            sensor.measure(images, theta), sensor.observed(theta, shape), sensor.known(theta)
    assert not waits.found
