"""From a recipe to a plan: its components, what they declare, and what they complain of."""

from __future__ import annotations

import subprocess
import sys

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


def warnings(recipe):
    return [str(problem).removeprefix("r: ") for problem in plan(recipe).warnings]


def test_a_sound_recipe_has_a_plan_with_checked_options_and_no_warning():
    made = plan(BASE)
    assert made.measurement.options.size == 8
    assert made.measurement.options.fill == 1.0
    assert made.warnings == ()
    assert [choice.registered.name for choice in made.choices()] == [
        "faces",
        "block",
        "net",
        "critic",
        "game",
    ]


def test_every_component_of_a_recipe_is_in_its_plan():
    made = plan(
        changed(
            further={"measurement": {"kind": "keep"}, "probability": 0.5},
            evaluation={"measurement": {"kind": "dim"}},
            fidelity=[{"kind": "held_out", "weight": 3, "norm": "l2"}, {"kind": "consistency"}],
            metrics=[{"kind": "truth", "every": 5}, {"kind": "spread"}],
            callbacks=[{"kind": "grid"}, {"kind": "grid", "every": 7}],
        )
    )
    assert made.further.options.keep == 1
    assert made.evaluation.registered.name == "dim"
    assert [choice.spec.weight for choice in made.fidelities] == [3, 1]
    assert made.fidelities[0].options.norm == "l2"
    assert [choice.spec.every for choice in made.metrics] == [5, None]
    assert [choice.options.every for choice in made.callbacks] == [5, 7]


def test_the_resolved_recipe_loads_to_an_equal_one():
    recipe = changed(
        further={"measurement": {"kind": "keep"}},
        evaluation={"measurement": {"kind": "block", "size": 4}},
        data=data(holdout={"one_in": 10, "first": 3}),
        fidelity=[{"kind": "held_out"}],
        metrics=[{"kind": "seam"}],
        callbacks=[{"kind": "grid"}],
        train=train(generator_optimizer={"kind": "rmsprop"}, checkpoints={"best": "seam"}),
    )
    resolved = plan(recipe).resolved()
    assert resolved["train"]["generator_optimizer"]["alpha"] == 0.99
    assert resolved["fidelity"] == [{"kind": "held_out", "weight": 1.0, "norm": "l1"}]
    assert plan(resolved).resolved() == resolved


def test_data_that_arrive_measured_say_themselves_what_was_observed():
    recipe = changed(
        data=data(source={"kind": "holes"}), measurement={"kind": "dim"}, metrics=[{"kind": "seam"}]
    )
    with pytest.raises(RecipeError, match="the data say which pixels are observed, and the sensor does not"):
        plan(recipe)
    assert plan(changed(data=data(source={"kind": "holes"}), measurement={"kind": "from_data"}))


def test_a_warning_does_not_stop_a_recipe():
    recipe = changed(measurement={"kind": "block", "size": 20})
    assert warnings(recipe) == ["measurement.size: warning: the middle is never seen"]
    clipped = changed(objective={"kind": "clip"}, discriminator={"kind": "critic_bn"})
    assert warnings(changed(objective={"kind": "clip"}, generator={"kind": "net_bn"})) == []
    assert warnings(clipped) == [
        "discriminator: warning: objective 'clip' clips weights, which batch norm rescales again; "
        "norm: none is safer"
    ]


def test_components_that_declare_nothing_are_looked_at():
    recipe = changed(
        measurement={"kind": "undeclared"},
        data=data(source={"kind": "plain"}, flip=True),
        generator={"kind": "plain"},
        metrics=[{"kind": "truth"}, {"kind": "seam"}],
    )
    assert plan(recipe).recipe.data.flip


def test_a_sensor_that_cannot_be_looked_at_is_a_problem_and_no_traceback():
    found = problems(changed(measurement={"kind": "unbuildable"}, composite=False))
    assert found == [
        "measurement: measurement 'unbuildable' (from the tests) failed: RuntimeError: no sensor today"
    ]
    found = problems(changed(measurement={"kind": "broken"}, composite=False))
    assert found == [
        "measurement: measurement 'broken' (from the tests) failed: ZeroDivisionError: asked for facts"
    ]


def test_a_misspelt_fact_is_a_problem_for_no_rule_asks_for_it():
    assert problems(changed(measurement={"kind": "misspelt"}, composite=False, fidelity=[]))[0] == (
        "measurement: measurement 'misspelt' (from the tests) failed: `facts` declares "
        "'obsreved', which is no fact of a measurement; did you mean 'observed'?"
    )


def test_all_problems_of_shape_and_options_come_at_once():
    recipe = changed(
        sed=1,
        measurement={"kind": "block", "size": 0},
        generator={"kind": "nett"},
        train=train(batch_size=0, accumulate=0),
        metrics=[{"kind": "sean"}, {"kind": "seam", "evry": 3}],
    )
    assert problems(recipe) == [
        "generator.kind: unknown generator 'nett'; did you mean 'net'?",
        "measurement.size: must be at least 1, not 0",
        "metrics.0.kind: unknown metric 'sean'; did you mean 'seam'?",
        "metrics.1.evry: unknown key 'evry'; did you mean 'every'?",
        "sed: unknown key 'sed'; did you mean 'seed'?",
        "train.accumulate: must be at least 1, not 0",
        "train.batch_size: must be at least 1, not 0",
    ]


def test_checking_imports_no_torch():
    code = (
        "import sys, ambientkit.recipe_file, ambientkit.recipe_check, ambientkit.recipe_schema; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
