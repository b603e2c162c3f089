"""Sensors in sequence, and components in the options of others."""

from __future__ import annotations

import json
from typing import ClassVar

import pytest
import torch
import yaml
from ambientkit_plugins.masks.sensors import BlockPatch, Identity, KeepPatch
from ambientkit_plugins.sequence.sensor import Chain

from ambientkit import Component, Context, Engine, Measurement, Options, Spec, hookimpl
from ambientkit.errors import PluginError, RecipeError
from ambientkit.recipe_schema import schema

SHAPE = (3, 10, 8)


class Gain(Measurement):
    """A pixelwise sensor that is not exact, and reports its gain."""

    pixelwise = True
    symmetric = frozenset({"flip"})

    def sample(self, n, image_shape, generator):
        return {"gain": torch.rand(n, 1, 1, 1, generator=generator) + 0.5}

    def measure(self, images, theta):
        return images * theta["gain"]

    def known(self, theta):
        return theta


class Halve(Measurement):
    """Mixes pixels and makes the picture half as wide; a gradient of a kind."""

    random = False
    gradient = "surrogate"
    gradient_reason = "for the test"

    def measured_shape(self, image_shape):
        return (*image_shape[:2], image_shape[2] // 2)

    def sample(self, n, image_shape, generator):
        assert image_shape[2] % 2 == 0
        return {"nothing": torch.empty(n, 0)}

    def measure(self, images, theta):
        return images.unflatten(3, (-1, 2)).mean(-1)


def gen(seed=0):
    return torch.Generator().manual_seed(seed)


def measured(sensor, n=5, seed=0):
    images = torch.rand(n, *SHAPE, generator=gen(9)) * 2 - 1
    theta = sensor.sample(n, SHAPE, gen(seed))
    return images, theta, sensor.measure(images, theta)


def test_parts_act_in_order_each_with_its_own_theta():
    blocks = [BlockPatch((3, 4), fill=1.0), BlockPatch((2, 2), fill=-1.0)]
    images, theta, y = measured(Chain(blocks))
    assert set(theta) == {"0.corner", "1.corner"}
    assert not torch.equal(theta["0.corner"], theta["1.corner"])
    first = blocks[0].measure(images, {"corner": theta["0.corner"]})
    assert torch.equal(y, blocks[1].measure(first, {"corner": theta["1.corner"]}))


def test_exact_only_if_every_part_is_and_observed_is_what_all_observe():
    chain = Chain([BlockPatch((3, 4)), KeepPatch((8, 8))])
    images, theta, y = measured(chain)
    seen = chain.observed(theta, SHAPE)
    parts = [part.observed({"corner": theta[f"{i}.corner"]}, SHAPE) for i, part in enumerate(chain.parts)]
    assert chain.exact
    assert torch.equal(seen, parts[0] & parts[1])
    assert torch.equal(torch.where(seen, y, 0), torch.where(seen, images, 0))
    assert not Chain([BlockPatch((3, 4)), Gain()]).exact


def test_noise_keeps_observed_and_mixing_pixels_ends_it():
    chain = Chain([BlockPatch((3, 4)), Gain()])
    _, theta, _ = measured(chain)
    block = chain.parts[0].observed({"corner": theta["0.corner"]}, SHAPE)
    assert torch.equal(chain.observed(theta, SHAPE), block)
    assert chain.known(theta).keys() == {"1.gain"}
    mixed = Chain([BlockPatch((3, 4)), Halve()])
    _, theta, y = measured(mixed)
    assert mixed.observed(theta, SHAPE) is None
    assert mixed.fill is None
    assert mixed.measured_shape(SHAPE) == tuple(y.shape[1:]) == (3, 10, 4)
    assert Chain([Gain(), Gain()]).observed(measured(Chain([Gain(), Gain()]))[1], SHAPE) is None


def test_later_parts_are_given_what_earlier_ones_make():
    _, _, y = measured(Chain([Halve(), Halve()]))
    assert y.shape == (5, 3, 10, 2)
    with pytest.raises(AssertionError):
        measured(Chain([Halve(), Halve(), Halve(), Halve()]))


@pytest.mark.parametrize(
    ("parts", "fill"),
    [
        ([BlockPatch((2, 2), fill=0.5)], 0.5),
        ([Gain(), BlockPatch((2, 2), fill=0.5)], 0.5),
        ([BlockPatch((2, 2), fill=0.5), Gain()], None),
        ([BlockPatch((2, 2), fill=0.5), KeepPatch((2, 2), fill=0.5)], 0.5),
        ([BlockPatch((2, 2), fill=0.5), KeepPatch((2, 2), fill=1.0)], None),
        ([Gain()], None),
    ],
)
def test_the_fill_is_told_only_where_hidden_pixels_hold_it(parts, fill):
    chain = Chain(parts)
    assert chain.fill == fill
    _, theta, y = measured(chain)
    seen = chain.observed(theta, SHAPE)
    if fill is not None:
        assert (y[~seen.expand_as(y)] == fill).all()
        assert (~seen).any()


def test_the_weakest_gradient_counts_and_keeps_its_reason():
    chain = Chain([Gain(), Halve()])
    assert (chain.gradient, chain.gradient_reason) == ("surrogate", "for the test")
    assert Chain([Gain()]).gradient == "exact"
    assert chain.symmetric == frozenset()
    assert Chain([Gain(), Identity()]).symmetric == {"flip"}


# In a recipe ------------------------------------------------------------------------------------


def sequence(*sensors):
    return {"kind": "sequence", "sensors": list(sensors)}


BLOCK, KEEP = {"kind": "block_patch", "size": 6}, {"kind": "keep_patch", "size": 12}


def test_a_recipe_with_a_sequence_trains_and_resolves_to_itself(engine, tiny, tmp_path):
    recipe = tiny(measurement=None) | {"measurement": sequence(BLOCK, KEEP)}
    plan = engine.load(recipe)
    inner = plan.resolved()["measurement"]["sensors"]
    assert [each["kind"] for each in inner] == ["block_patch", "keep_patch"]
    assert inner[0] == {"kind": "block_patch", "size": 6, "fill": 1.0, "count": 1}
    assert engine.load(plan.resolved()).resolved() == plan.resolved()
    result = engine.run(plan, "train.steps=1", out=tmp_path)
    assert engine.resume(result.folder).step == 1
    used = yaml.safe_load((result.folder / "run.json").read_text())["plugins"]
    assert {"sequence", "masks"} <= {plugin["name"] for plugin in used}


def problems(engine, recipe):
    with pytest.raises(RecipeError) as caught:
        engine.load(recipe)
    return [(problem.path, problem.message) for problem in caught.value.problems]


def test_problems_inside_a_sequence_are_told_with_their_place(engine, tiny):
    recipe = tiny() | {"measurement": sequence({"kind": "block_patch", "sise": 6}, {"kind": "blok_patch"})}
    assert problems(engine, recipe) == [
        ("measurement.sensors.0.sise", "unknown key 'sise'"),
        ("measurement.sensors.1.kind", "unknown measurement 'blok_patch'"),
    ]
    too_large = tiny() | {"measurement": sequence({"kind": "block_patch", "size": 99})}
    ((path, message),) = problems(engine, too_large)
    assert path == "measurement.sensors.0.size"
    assert "does not fit" in message
    assert problems(engine, tiny() | {"measurement": sequence()})


def test_facts_of_a_sequence_are_those_of_its_parts(engine):
    facts = {
        name: engine.plugins.require("measurement", name).component.options
        for name in ("sequence", "block_patch", "identity")
    }
    options = facts["sequence"](sensors=[Spec(kind="identity")])
    block, identity = facts["block_patch"]().facts(), facts["identity"]().facts()
    noise = frozenset({"random", "pixelwise", "flip"})
    blur = frozenset({"flip", "reshapes"})
    assert options.joint_facts({"sensors": [block, identity]}) == block
    assert options.joint_facts({"sensors": [block, noise]}) == {"observed", "pixelwise", "random", "flip"}
    assert options.joint_facts({"sensors": [block, blur]}) == {"random", "flip", "reshapes"}
    assert options.joint_facts({"sensors": [noise, noise]}) == noise
    assert options.joint_facts({"sensors": [block, None]}) is None


class Undeclared(Options):
    """A sensor that declares nothing."""


class Halves:
    """A plugin whose options say no facts."""

    AMBIENTKIT_HOOK_API = 1
    namespace = "tests"

    @hookimpl
    def register_measurements(self):
        yield Component("halve", Undeclared, lambda options, context: Halve())
        yield Component("gain", Undeclared, lambda options, context: Gain())


def test_parts_that_declare_nothing_are_looked_at_one_by_one(tiny):
    engine = Engine(plugins=[Halves()], discover=False)

    def facts(*kinds):
        recipe = tiny(discriminator={"mask_channel": False}, generator={"mask_channel": False})
        recipe |= {"composite": False, "metrics": [], "generator": {"kind": "dcgan", "width": 4}}
        plan = engine.load(recipe | {"measurement": sequence(*({"kind": kind} for kind in kinds))})
        return {fact.partition(":")[2] for fact in plan.facts if fact.startswith("measurement:")}

    assert facts("tests/gain") == {"random", "pixelwise", "flip"}
    assert facts("tests/gain", "tests/halve") == {"random", "reshapes"}
    assert facts("tests/gain", "identity") == {"random", "pixelwise", "flip", "observed"}


def test_the_api_builds_sequences_too(engine):
    sensors = [BLOCK, sequence({"kind": "identity"})]
    context = Context(image_shape=SHAPE)
    sensor = engine.build("measurement", "sequence", context=context, sensors=sensors)
    assert isinstance(sensor.parts[1], Chain)
    with pytest.raises(RecipeError, match="unknown measurement 'nothing'"):
        engine.build("measurement", "sequence", sensors=[{"kind": "nothing"}])


def test_the_schema_knows_what_stands_in_a_sequence(engine):
    made = schema(engine.plugins.registry)
    sensors = made["$defs"]["measurement.sequence"]["properties"]["sensors"]
    assert sensors["items"] == {"$ref": "#/$defs/any.measurement"}
    assert "measurement.sequence.Spec" not in json.dumps(made)


def test_a_component_whose_nested_options_are_not_there_is_refused():
    class Odd(Options):
        """Names an option that it lacks."""

        nested: ClassVar = {"sensors": "measurement"}

    class Plugin:
        AMBIENTKIT_HOOK_API = 1
        namespace = "odd"

        @hookimpl
        def register_measurements(self):
            yield Component("odd", Odd, None.__class__)

    with pytest.raises(PluginError, match=r"nested\['sensors'\] = 'measurement' is no option"):
        Engine(plugins=[Plugin()], discover=False)
