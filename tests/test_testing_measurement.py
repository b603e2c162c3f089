"""The contract kit for sensors: each check catches its faulty sensors, and sound ones pass them all."""

from __future__ import annotations

import random
import sys
from collections import Counter
from functools import lru_cache
from importlib.util import module_from_spec, spec_from_file_location

import numpy as np
import pytest
import torch
from docs_tables import ROOT
from faulty_measurements import FAULTS, SHAPE
from faulty_sensors import SOUND, Noisy, Rows, Speckled
from faulty_uses import DeadPixel, KnowsTheNoise

from ambientkit import Engine, MaskingMeasurement, Measurement
from ambientkit.errors import DataError
from ambientkit.interfaces import Context
from ambientkit.testing import (
    MEASUREMENT_CHECKS,
    ContractError,
    MeasurementCase,
    check_measurement,
    measurement_devices,
    parametrize_with_checks,
)

NAMES = [check.name for check in MEASUREMENT_CHECKS]
EXPECTED = [(check, fault) for check, faults in FAULTS.items() for fault in faults]


@lru_cache
def findings_of_sound(name):
    return check_measurement(SOUND[name](), SHAPE)


def outcomes(case, outcome="failed"):
    return {f.check: f.message for f in MEASUREMENT_CHECKS.find(case) if f.outcome == outcome}


# Every check has faulty sensors, and catches them -----------------------------------------------


@pytest.mark.parametrize(
    ("check", "fault"), EXPECTED, ids=[f"{fault.sensor.__name__}-{check}" for check, fault in EXPECTED]
)
def test_a_faulty_sensor_is_caught_by_its_check_and_by_no_other(check, fault):
    if fault.needs_gpu and not torch.cuda.is_available():
        pytest.skip("this fault shows on a CUDA GPU alone")
    failed = outcomes(fault.case())
    assert set(failed) == {check, *fault.also}
    assert fault.says in failed[check]
    assert "; " in failed[check] or "it raised" in failed[check], "it says what to do, or where it arose"


def test_every_check_has_a_faulty_sensor():
    assert set(FAULTS) == set(NAMES)
    assert len(NAMES) == len(set(NAMES)) >= 35
    assert all(FAULTS.values())


def test_every_check_says_its_promise():
    assert all(check.summary.endswith(".") for check in MEASUREMENT_CHECKS)


# Sound sensors pass -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", SOUND)
def test_sound_sensors_pass(name):
    findings = findings_of_sound(name)
    assert [finding.check for finding in findings] == NAMES
    assert all(finding.message for finding in findings if finding.outcome == "skipped")


def test_every_check_looks_at_some_sound_sensor():
    """No check is skipped for all of them, or it would say nothing about anybody's."""
    passed = Counter(
        finding.check for name in SOUND for finding in findings_of_sound(name) if finding.outcome == "passed"
    )
    never = set(NAMES) - set(passed)
    assert never <= {
        "a_sensor_without_gradient_has_none",
        "facts_say_what_the_sensor_declares",
        "everything_happens_on_the_gpu",
    }


class Opaque(Noisy):
    gradient = "none"
    gradient_reason = "the instrument is a black box"

    def measure(self, images, theta):
        return super().measure(images.detach(), theta)


def test_a_black_box_passes_and_says_so():
    assert "a_sensor_without_gradient_has_none" in outcomes(MeasurementCase(Opaque()), "passed")


class BlurredMask(Measurement):
    """A blur, then a mask: a hidden pixel shows in its neighbours, which is no leak of this sensor."""

    def sample(self, n, image_shape, generator):
        return Speckled().sample(n, image_shape, generator)

    def measure(self, images, theta):
        blurred = (images + images.roll(1, -1)) / 2
        return torch.where(theta["kept"], blurred, 0)

    def observed(self, theta, image_shape):
        return theta["kept"]


class Refuses(MaskingMeasurement):
    """Takes one size and says so."""

    def sample(self, n, image_shape, generator):
        if tuple(image_shape) != SHAPE:
            raise DataError(f"this sensor takes pictures of {SHAPE}")
        return Speckled().sample(n, image_shape, generator)

    def observed(self, theta, image_shape):
        return theta["kept"]


class Plain:
    """No base class of ours: the protocol is what counts."""

    random = True
    exact = pixelwise = False
    gradient = "exact"
    gradient_reason = ""
    symmetric = frozenset()
    fill = None

    def measured_shape(self, image_shape):
        return (2, 3, *image_shape)

    def sample(self, n, image_shape, generator):
        return {"gain": torch.rand(n, generator=generator, device=generator.device)}

    def measure(self, images, theta):
        gain = theta["gain"].to(images.dtype).view(-1, 1, 1, 1, 1, 1)
        return gain * images[:, None, None].expand(-1, 2, 3, -1, -1, -1)

    def observed(self, theta, image_shape):
        return None

    def known(self, theta):
        return dict(theta)


@pytest.mark.parametrize("sensor", [BlurredMask(), Refuses(), Plain()], ids=lambda s: type(s).__name__)
def test_sound_sensors_of_other_kinds_pass(sensor):
    check_measurement(sensor, SHAPE)


@pytest.mark.parametrize("shape", [(1, 16, 16), (4, 9, 14), (2, 30, 7)])
def test_sound_sensors_pass_on_pictures_of_any_shape(shape):
    check_measurement(Speckled(), shape)
    check_measurement(Noisy(), shape)
    check_measurement(Rows(), shape)


@pytest.mark.parametrize("seed", range(4))
def test_chance_fails_no_sound_sensor(seed):
    assert not outcomes(MeasurementCase(Speckled(), SHAPE, seed))
    assert not outcomes(MeasurementCase(Noisy(), SHAPE, seed))


class Peephole(Speckled):
    """Shows 4x4 pixels of a large picture: its corners are seen once in 14,884 draws."""

    def sample(self, n, image_shape, generator):
        at = {"generator": generator, "device": generator.device}
        return {"corner": torch.stack([torch.randint(s - 3, (n,), **at) for s in image_shape[1:]], 1)}

    def observed(self, theta, image_shape):
        rows, columns = (
            (torch.arange(side, device=start.device) - start[:, None]).clamp(-1, 4)
            for side, start in zip(image_shape[1:], theta["corner"].unbind(1), strict=True)
        )
        row, column = rows.remainder(5) < 4, columns.remainder(5) < 4
        return (row[:, :, None] & column[:, None, :]).unsqueeze(1)

    def measure(self, images, theta):
        return torch.where(self.observed(theta, images.shape[1:]), images, self.fill)


def test_what_is_seen_rarely_is_not_called_unseen():
    case = MeasurementCase(Peephole(), (1, 125, 125))
    check = next(check for check in MEASUREMENT_CHECKS if check.name == "every_pixel_is_sometimes_seen")
    finding = check.find(case)
    assert finding.outcome == "skipped"
    assert "seen too rarely for 12806 draws to tell" in finding.message


class Blind(Speckled):
    def observed(self, theta, image_shape):
        return theta["kept"] & False


class BlindSide(Speckled):
    random = False

    def sample(self, n, image_shape, generator):
        left = torch.arange(image_shape[2], device=generator.device) < image_shape[2] // 2
        return {"kept": left.expand(n, 1, *image_shape[1:])}


@pytest.mark.parametrize(("sensor", "pixels"), [(Blind(), 320), (BlindSide(), 160)], ids=["blind", "side"])
def test_what_is_never_seen_is_told(sensor, pixels):
    assert (
        f"{pixels} pixels were hidden"
        in outcomes(MeasurementCase(sensor, SHAPE))["every_pixel_is_sometimes_seen"]
    )


# What a check must not do -----------------------------------------------------------------------


def test_checking_leaves_the_global_random_states_alone():
    before = torch.random.get_rng_state(), repr(np.random.get_state()), random.getstate()
    check_measurement(Speckled(), SHAPE)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1:] == (repr(np.random.get_state()), random.getstate())


def test_the_same_case_finds_the_same():
    found = [[str(f) for f in MEASUREMENT_CHECKS.find(MeasurementCase(Speckled(), SHAPE))] for _ in range(2)]
    assert found[0] == found[1]


# The GPU's checks, with the CPU in its place ----------------------------------------------------


def gpu_check(sensor):
    check = next(check for check in MEASUREMENT_CHECKS if check.name == "everything_happens_on_the_gpu")
    return check.find(MeasurementCase(sensor, SHAPE))


@pytest.mark.parametrize("name", SOUND)
def test_the_gpu_check_passes_sound_sensors(name, monkeypatch):
    monkeypatch.setattr(measurement_devices, "gpu", lambda: torch.device("cpu"))
    assert gpu_check(SOUND[name]()).outcome == "passed"


@pytest.mark.parametrize("method", ["observed", "known"])
def test_the_gpu_check_finds_what_is_elsewhere(method, monkeypatch):
    monkeypatch.setattr(measurement_devices, "gpu", lambda: torch.device("cpu"))

    class Lost(Speckled):
        def known(self, theta):
            return {"share": theta["kept"].float().mean((1, 2, 3)).to(place if method == "known" else "cpu")}

        def observed(self, theta, image_shape):
            return theta["kept"].to(place if method == "observed" else "cpu")

        def measure(self, images, theta):
            return torch.where(theta["kept"], images, self.fill)

    place = "meta"
    assert f"`{method}` of a CUDA theta" in gpu_check(Lost()).message


# Messages, waivers, pytest ----------------------------------------------------------------------


def test_the_error_lists_every_broken_promise():
    with pytest.raises(ContractError) as caught:
        check_measurement(KnowsTheNoise(), SHAPE, name="noise", facts=frozenset({"exact"}))
    lines = str(caught.value).splitlines()
    assert lines[0] == f"noise breaks 2 of {len(NAMES)} checks:"
    assert [line.partition(":")[0] for line in lines[1:]] == [
        "- facts_say_what_the_sensor_declares",
        "- known_holds_no_nuisance",
    ]
    with pytest.raises(ContractError, match=r"^KnowsTheNoise breaks 1 of"):
        check_measurement(KnowsTheNoise(), SHAPE)


def test_a_waived_failure_is_told_but_does_not_fail():
    findings = check_measurement(
        DeadPixel(), SHAPE, waived={"every_pixel_is_sometimes_seen": "the chip has a dead pixel"}
    )
    (waived,) = [f for f in findings if f.check == "every_pixel_is_sometimes_seen"]
    assert waived.outcome == "skipped"
    assert waived.message.startswith("waived (the chip has a dead pixel): 1 pixels were hidden")


def test_a_waiver_that_is_not_needed_fails():
    with pytest.raises(ContractError, match=r"y_is_finite: it is waived \(logarithms\), but passes"):
        check_measurement(Noisy(), SHAPE, waived={"y_is_finite": "logarithms"})


def test_a_misspelt_waiver_is_refused():
    with pytest.raises(ValueError, match="no check 'y_is_finit' to waive; did you mean 'y_is_finite'"):
        check_measurement(Noisy(), SHAPE, waived={"y_is_finit": "logarithms"})
    with pytest.raises(ValueError, match="'noisi', which is no case"):
        parametrize_with_checks(CASES, waived={"noisi": {"y_is_finite": "logarithms"}})


CASES = {
    "noisy": (MEASUREMENT_CHECKS, lambda: MeasurementCase(Noisy(), SHAPE)),
    "dead": (MEASUREMENT_CHECKS, lambda: MeasurementCase(DeadPixel(), SHAPE)),
}


@parametrize_with_checks(CASES, waived={"dead": {"every_pixel_is_sometimes_seen": "a dead pixel"}})
def test_one_test_for_each_check(check):
    check()


def test_a_parametrized_check_fails_its_test():
    mark = parametrize_with_checks({"dead": CASES["dead"]})
    checks = {param.id: param.values[0] for param in mark.args[1]}
    assert len(checks) == len(NAMES)
    with pytest.raises(AssertionError, match="1 pixels were hidden"):
        checks["dead-every_pixel_is_sometimes_seen"]()
    with pytest.raises(pytest.skip.Exception, match="`known` is None"):
        checks["dead-known_holds_no_nuisance"]()


# The built-ins ----------------------------------------------------------------------------------

PICTURE = (1, 56, 60)  # the default windows of 28 leave every pixel seen sometimes
ENGINE = Engine(discover=False)
BUILT_INS = [name for name in ENGINE.plugins.registry.names("measurement") if "/" not in name]


def required_options(name):
    fields = ENGINE.plugins.registry.find("measurement", name).component.options.model_fields
    return [field for field, info in fields.items() if info.is_required()]


DEFAULTS = [name for name in BUILT_INS if not required_options(name)]


@pytest.mark.parametrize("name", DEFAULTS)
def test_built_ins_keep_their_promises(name):
    component = ENGINE.plugins.registry.find("measurement", name).component
    masks = torch.zeros(4, 1, *PICTURE[1:], dtype=torch.bool)
    for i in range(4):
        masks[i, :, 10 * i : 10 * i + 10, 5:20] = True
    options = component.options()
    context = Context(image_size=PICTURE[1:], image_shape=PICTURE, data_masks=masks)
    sensor = component.build(options, context)
    check_measurement(sensor, PICTURE, name=name, facts=options.facts())


def test_there_are_built_ins():
    assert {"identity", "block_patch", "keep_patch", "masks_of_data"} <= set(DEFAULTS)


def test_the_example_of_the_docs_keeps_its_promises():
    spec = spec_from_file_location("haze_example", ROOT / "docs/examples/haze.py")
    module = module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    check_measurement(module.Haze(0.6, 0.05), SHAPE)
