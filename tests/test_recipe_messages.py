"""What is wrong with a recipe's shape or a component's options, in plain English."""

from __future__ import annotations

import pytest
from recipe_fakes import BASE, FakePlugins, changed, data, train

from ambientkit.errors import RecipeError
from ambientkit.recipe_file import from_mapping

pytestmark = pytest.mark.smoke

PLUGINS = FakePlugins()


def plan(recipe):
    return from_mapping(recipe, PLUGINS, name="r")


def problems(recipe):
    with pytest.raises(RecipeError) as caught:
        plan(recipe)
    return [str(problem).removeprefix("r: ") for problem in caught.value.problems]


SHAPE = {
    "unknown key": (changed(sed=3), "sed: unknown key 'sed'; did you mean 'seed'?"),
    "unknown key, none near": (
        changed(further={"measurement": {"kind": "keep"}, "zzz": 1}),
        "further.zzz: unknown key 'zzz'; known keys: completed_first, measurement, probability",
    ),
    "missing keys": (
        {k: v for k, v in BASE.items() if k not in ("name", "data")},
        "missing keys 'name', 'data'",
    ),
    "a section that is text": (changed(data="faces"), "data: must be a mapping, not 'faces'"),
    "text for a number": (
        changed(train=train(batch_size="32")),
        "train.batch_size: must be an integer, not '32'",
    ),
    "a fraction for a count": (
        changed(train=train(batch_size=1.5)),
        "train.batch_size: must be an integer, not 1.5",
    ),
    "true for a count": (
        changed(train=train(batch_size=True)),
        "train.batch_size: must be an integer, not true",
    ),
    "too small": (changed(train=train(batch_size=0)), "train.batch_size: must be at least 1, not 0"),
    "not below": (changed(train=train(ema_decay=1)), "train.ema_decay: must be below 1, not 1"),
    "not finite": (
        changed(train={"epochs": float("inf")}),
        "train.epochs: must be a finite number, not inf",
    ),
    "text for a switch": (changed(composite="yes"), "composite: must be true or false, not 'yes'"),
    "a word of few": (
        changed(data=data(measure="onse")),
        "data.measure: must be 'once' or 'fresh', not 'onse'; did you mean 'once'?",
    ),
    "two lengths": (changed(train=train(epochs=1)), "train: give either 'epochs' or 'steps'"),
    "too many values": (
        changed(data=data(image_size=[1, 2, 3])),
        "data.image_size: must have at most 2 values, not 3",
    ),
    "too few values": (
        changed(data=data(image_size=[1])),
        "data.image_size: has too few values (1)",
    ),
    "union of number and mapping": (
        changed(data=data(holdout="all")),
        "data.holdout: must be an integer or a mapping, not 'all'",
    ),
    "union, the number's bound": (changed(data=data(holdout=-1)), "data.holdout: must be at least 0, not -1"),
    "union, inside the mapping": (
        changed(data=data(holdout={"one_in": 1})),
        "data.holdout.one_in: must be at least 2, not 1",
    ),
    "union, typo in the mapping": (
        changed(data=data(holdout={"one_in": 2, "frist": 1})),
        "data.holdout.frist: unknown key 'frist'; did you mean 'first'?",
    ),
    "optimiser, unknown": (
        changed(train=train(generator_optimizer={"kind": "adm"})),
        "train.generator_optimizer.kind: unknown kind 'adm'; did you mean 'adam'?",
    ),
    "optimiser, no mapping": (
        changed(train=train(generator_optimizer=3)),
        "train.generator_optimizer: must be a mapping with a key 'kind', not 3",
    ),
    "optimiser, another's option": (
        changed(train=train(generator_optimizer={"kind": "sgd", "lr": 1, "beta": 1})),
        "train.generator_optimizer.beta: unknown key 'beta'; known keys: kind, lr, momentum, weight_decay",
    ),
    "optimiser, a missing option": (
        changed(train=train(generator_optimizer={"kind": "sgd"})),
        "train.generator_optimizer: missing key 'lr'",
    ),
    "a name that is no folder": (
        changed(name="a b"),
        "name: 'a b' does not match ^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$",
    ),
    "another format": (changed(recipe=2), "recipe: must be 1, not 2"),
    "a component that is text": (
        changed(generator="net"),
        "generator: must be a mapping, not 'net'; write {kind: net}",
    ),
    "a component without kind": (changed(generator={"width": 3}), "generator: missing key 'kind'"),
    "a kind that is a number": (changed(generator={"kind": 3}), "generator.kind: must be text, not 3"),
    "a list that is a mapping": (changed(metrics={"kind": "seam"}), "metrics: must be a list, not a mapping"),
    "an item that is text": (
        changed(metrics=["seam"]),
        "metrics.0: must be a mapping, not 'seam'; write {kind: seam}",
    ),
    "a place that is text": (changed(generator="/home/me"), "generator: must be a mapping, not '/home/me'"),
    "a key without its section": (
        changed(steps=40),
        "steps: unknown key 'steps'; did you mean 'train.steps'?",
    ),
    "unknown component": (
        changed(measurement={"kind": "blok"}),
        "measurement.kind: unknown measurement 'blok'; did you mean 'block'?",
    ),
    "unknown option": (
        changed(measurement={"kind": "block", "size": 3, "fil": 0}),
        "measurement.fil: unknown key 'fil'; did you mean 'fill'?",
    ),
    "option of the wrong type": (
        changed(measurement={"kind": "block", "size": "big"}),
        "measurement.size: must be an integer, not 'big'",
    ),
    "option out of bounds": (
        changed(measurement={"kind": "block", "size": 3, "fill": 2}),
        "measurement.fill: must be at most 1, not 2",
    ),
    "option of three types": (
        changed(measurement={"kind": "block", "size": 3, "window": None}),
        "measurement.window: must be an integer or a list or 'all', not null",
    ),
    "required option missing": (changed(measurement={"kind": "block"}), "measurement: missing key 'size'"),
    "a plugin's required option": (
        changed(measurement={"kind": "fog/haze"}),
        "measurement: missing key 'beta'",
    ),
    "weight of a fidelity": (
        changed(fidelity=[{"kind": "consistency", "weight": 0}]),
        "fidelity.0.weight: must be above 0, not 0",
    ),
}


OPTION = {
    "low: must be a multiple of 2, not 3": {"low": 3},
    "high: must be below 10, not 10": {"high": 10},
    "high: must be above -10, not -10": {"high": -10},
    "text: must be at least 1 long, not ''": {"text": ""},
    "text: must be at most 3 long, not 'abcd'": {"text": "abcd"},
    "sizes: must have at least 1 values, not 0": {"sizes": []},
    "sizes: must have at most 2 values, not 3": {"sizes": [1, 2, 3]},
    "sizes.1: must be an integer, not 'b'": {"sizes": [1, "b"]},
    "mode: must be 1 or 2, not 3": {"mode": 3},
}


@pytest.mark.parametrize(("message", "given"), OPTION.items())
def test_an_option_that_does_not_fit_is_said_in_plain_words(message, given):
    assert problems(changed(measurement={"kind": "strict", **given})) == [f"measurement.{message}"]


def test_what_has_no_words_of_its_own_is_said_in_those_of_pydantic():
    (found,) = problems(changed(measurement={"kind": "strict", "day": "soon"}))
    assert found.startswith("measurement.day: input should be a valid date")


def test_what_a_component_itself_validates_is_said_at_its_place():
    assert problems(changed(measurement={"kind": "strict", "high": 1})) == ["measurement: high is below low"]
    assert problems(changed(measurement={"kind": "strict", "high": 0})) == [
        "measurement: measurement 'strict' (from the tests) failed: ZeroDivisionError: a faulty validator"
    ]


@pytest.mark.parametrize(("recipe", "message"), SHAPE.values(), ids=SHAPE)
def test_a_wrong_shape_gives_one_plain_message(recipe, message):
    assert problems(recipe) == [message]
