"""A sensor that would spoil a training is refused before the run begins, by its name and with a remedy."""

from __future__ import annotations

import faulty_sensors as sensors
import pytest
import torch
from engine_recipes import tiny

from ambientkit import Component, Context, Engine, Measurement, Options, hookimpl
from ambientkit.assembly import build_sensor
from ambientkit.errors import PluginError, RecipeError
from ambientkit.recipe_check import choose
from ambientkit.sensor_check import require_sensor

SHAPE = (3, 16, 20)


class SampleForgotSelf(sensors.Noisy):
    def sample(image_shape, n, generator):
        return {}


class ReturnsNothing(sensors.Noisy):
    def measure(self, images, theta):
        images + theta["noise"]


class MaskOfFloats(sensors.Speckled):
    def observed(self, theta, image_shape):
        return super().observed(theta, image_shape).float()


class ReportsOneForAll(sensors.Noisy):
    def known(self, theta):
        return {"angle": torch.zeros(3)}


class Doubles(sensors.Noisy):
    def measure(self, images, theta):
        return super().measure(images.double(), theta)


class Duck:
    random, exact = True, False


@pytest.mark.parametrize("sensor", [sensors.Speckled, sensors.Noisy, sensors.Rounded, sensors.Rows])
def test_sound_sensors_pass(sensor):
    before = torch.get_rng_state()
    require_sensor(sensor(), SHAPE)
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize(
    ("sensor", "told"),
    [
        (sensors.ThetaIsNoDict, r"ThetaIsNoDict\.sample: it returned a tensor \(2, 3, 16, 20\)"),
        (sensors.OneNoiseForAll, r"OneNoiseForAll\.sample: its 'noise' is a tensor \(1,"),
        (sensors.ForgetsTheGenerator, r"\.sample: generators in one state drew another theta; draw with"),
        (sensors.NoiseInMeasure, r"\.measure: the same pictures and theta gave another measurement"),
        (
            sensors.WritesIntoImages,
            r"WritesIntoImages\.measure: it wrote into the pictures; make new tensors",
        ),
        (sensors.WritesIntoTheta, r"WritesIntoTheta\.measure: it wrote into theta"),
        (sensors.TakesFromTheta, r"TakesFromTheta\.measure: it wrote into theta"),
        (Doubles, r"Doubles\.measure: .* of torch\.float64 for pictures of torch\.float32"),
        (sensors.SaysOneChannel, r"\.measure: .*\(2, 3, 16, 20\).* `measured_shape` says \(2, 1, 16, 20\)"),
        (ReturnsNothing, r"ReturnsNothing\.measure: it returned a NoneType"),
        (
            SampleForgotSelf,
            r"SampleForgotSelf\.sample: .*3 positional arguments but 4 were given; give it the",
        ),
        (MaskOfFloats, r"MaskOfFloats\.observed: .* return a bool mask"),
        (ReportsOneForAll, r"ReportsOneForAll\.known: its 'angle' is a tensor \(3,\)"),
    ],
)
def test_faults_are_told(sensor, told):
    with pytest.raises(PluginError, match=told):
        require_sensor(sensor(), SHAPE)


class Nothing(Options):
    """Nothing to set."""


class Plugin:
    AMBIENTKIT_HOOK_API = 1
    namespace = "mine"

    def __init__(self, sensor: type[Measurement], options: type[Options] = Nothing) -> None:
        self.sensor, self.options = sensor, options

    @hookimpl
    def register_measurements(self):
        yield Component("sensor", self.options, lambda options, context: self.sensor())


WRONG = {"measurement": {"kind": "mine/sensor"}}


@pytest.mark.parametrize("changes", [WRONG, {"evaluation": WRONG}], ids=["data", "held"])
def test_no_run_begins_with_one(changes, tmp_path, monkeypatch):
    monkeypatch.setenv("AMBIENTKIT_CACHE", str(tmp_path / "cache"))
    engine = Engine(plugins=[Plugin(sensors.WritesIntoImages)], discover=False)
    blind = {"generator": {"mask_channel": False}, "discriminator": {"mask_channel": False}}
    with pytest.raises(PluginError, match="wrote into the pictures"):
        engine.run(tiny(**changes, **blind, composite=False), out=tmp_path / "runs", device="cpu")
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("facts", "told"),
    [
        ({"pixelwise", "flip"}, "declare random=False, the sensor says random=True; make facts"),
        ({"exact", "random"}, "declare exact=True, the sensor says exact=False"),
        ({"flip", "random", "pixelwise", "no_gradient"}, "declare no_gradient=True, the sensor says no_"),
        ({"random"}, None),  # what would have allowed more may be left out
    ],
)
def test_a_sensor_is_what_its_options_declared(facts, told):
    class Declares(Options):
        """A sensor that is declared otherwise."""

        def facts(self):
            return frozenset(facts)

    engine = Engine(plugins=[Plugin(sensors.Noisy, Declares)], discover=False)
    choice = choose(engine.plugins.require("measurement", "mine/sensor"), {}, engine.plugins)
    if told is None:
        build_sensor(choice, Context(image_shape=SHAPE))
        return
    with pytest.raises(PluginError, match=f"mine/sensor: its options {told}"):
        build_sensor(choice, Context(image_shape=SHAPE))


@pytest.mark.parametrize("shape", [SHAPE, None])
def test_a_sensor_without_a_member_is_told_of_it(shape):
    class Declares(Options):
        """A sensor that inherits nothing."""

        def facts(self):
            return frozenset({"random"})

    engine = Engine(plugins=[Plugin(Duck, Declares)], discover=False)
    choice = choose(engine.plugins.require("measurement", "mine/sensor"), {}, engine.plugins)
    told = "Duck: it has no `symmetric`; write it, or inherit ambientkit.Measurement"
    with pytest.raises(PluginError, match=told):
        build_sensor(choice, Context(image_shape=shape))


class Misspelt(Nothing):
    """Declares what nobody knows."""

    def facts(self):
        return frozenset({"randm"})


class Talks(Nothing):
    """Complains in plain text."""

    def complaints(self, context):
        return ["too large"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (Misspelt, "`facts` declares 'randm', which is no fact of a measurement; did you mean 'random'"),
        (Talks, "`complaints` yielded a str; yield ambientkit.Complaint"),
    ],
)
def test_what_options_say_wrongly_is_a_problem_of_the_recipe(options, told):
    engine = Engine(plugins=[Plugin(sensors.Noisy, options)], discover=False)
    with pytest.raises(RecipeError, match=rf"measurement 'mine/sensor' \(from .*\) failed: {told}"):
        engine.load(tiny(measurement={"kind": "mine/sensor"}, composite=False))


def test_what_a_part_of_a_sequence_says_wrongly_is_told_with_its_name():
    engine = Engine(plugins=[Plugin(sensors.Noisy, Misspelt)], discover=False)
    sensors_of_it = [{"kind": "block_patch"}, {"kind": "mine/sensor"}]
    told = (
        r"measurement 'sequence' .* failed: 'mine/sensor' in it: `facts` declares 'randm', which is no fact"
    )
    with pytest.raises(RecipeError, match=told):
        engine.load(tiny(measurement={"kind": "sequence", "sensors": sensors_of_it}, composite=False))
