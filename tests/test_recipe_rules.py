"""Pairs that cannot work: each rule, by a recipe that breaks it."""

from __future__ import annotations

import contextlib

import pytest
from recipe_fakes import FakePlugins, changed, data, train

from ambientkit import Engine
from ambientkit.errors import RecipeError
from ambientkit.recipe_file import from_mapping
from ambientkit.recipe_rules import ALL_RULES

PLUGINS = FakePlugins()


def plan(recipe):
    return from_mapping(recipe, PLUGINS, name="r")


def problems(recipe):
    with pytest.raises(RecipeError) as caught:
        plan(recipe)
    return [str(problem).removeprefix("r: ") for problem in caught.value.problems]


PAIRS = {
    "composite over an inexact sensor": (
        changed(measurement={"kind": "noise"}),
        "composite: needs a sensor that leaves observed pixels exact, which measurement 'noise' does not; "
        "set composite: false",
    ),
    "composite over a sensor that does not say": (
        changed(measurement={"kind": "dim"}),
        "composite: needs a sensor that says which pixels it observed, which measurement 'dim' does not; "
        "set composite: false",
    ),
    "composite of data that do not say": (
        changed(data=data(source={"kind": "sums"}), measurement={"kind": "keep"}),
        "measurement.kind: the sensor says which pixels are observed, and data set 'sums' does not say: "
        "fakes would be told apart; have the data say so (`observed` of measured_array), or use a sensor "
        "that is like the instrument",
    ),
    "composite of what an evaluation's sensor does not keep": (
        changed(evaluation={"measurement": {"kind": "projection"}}, metrics=[]),
        "evaluation.measurement.kind: 'projection' changes pixels that compositing would keep; "
        "use an exact sensor, or set composite: false",
    ),
    "composite of a latent generator": (
        changed(generator={"kind": "latent"}),
        "composite: needs a generator that completes, but 'latent' makes pictures from a latent; "
        "set composite: false",
    ),
    "flip without symmetry": (
        changed(data=data(flip=True), measurement={"kind": "keep"}),
        "data.flip: measurement 'keep' does not declare mirroring ('flip') symmetric; set data.flip: false",
    ),
    "fresh over measured data": (
        changed(data=data(source={"kind": "holes"}, measure="fresh")),
        "data.measure: data set 'holes' arrives measured and cannot be measured anew; set data.measure: once",
    ),
    "the masks of clean data": (
        changed(measurement={"kind": "from_data"}),
        "measurement.kind: draws from the data's own masks, but data set 'faces' has none; "
        "use a data set that arrives measured, or another sensor",
    ),
    "further over a sensor that does not say": (
        changed(measurement={"kind": "noise"}, composite=False, further={"measurement": {"kind": "keep"}}),
        "further: measurement 'noise' does not say what it observed, so nothing more can be hidden; "
        "set further: null",
    ),
    "further that hides nothing": (
        changed(further={"measurement": {"kind": "noise"}}),
        "further.measurement.kind: 'noise' does not say which pixels it observed; "
        "use a sensor that hides pixels",
    ),
    "filling first what is not exact": (
        changed(
            measurement={"kind": "grain"},
            composite=False,
            fidelity=[],
            further={"measurement": {"kind": "keep"}, "completed_first": True},
        ),
        "further.completed_first: keeps observed pixels, which those of measurement 'grain' are not exact "
        "enough for; set further.completed_first: false",
    ),
    "further for a latent generator": (
        changed(generator={"kind": "latent"}, composite=False, further={"measurement": {"kind": "keep"}}),
        "further: generator 'latent' reads no measurement, so hiding more changes nothing; set further: null",
    ),
    "a discriminator alone": (
        changed(objective=None),
        "discriminator: there is no objective; give both, or set discriminator: null",
    ),
    "a shared pass without a game": (
        changed(
            discriminator=None,
            objective=None,
            fidelity=[{"kind": "consistency"}],
            train={**changed()["train"], "share_forward": True},
        ),
        "train.share_forward: there is no discriminator to share the generator's pass with; "
        "set train.share_forward: false",
    ),
    "an objective alone": (
        changed(discriminator=None),
        "objective: there is no discriminator; give both, or set objective: null",
    ),
    "nothing trains": (
        changed(discriminator=None, objective=None),
        "nothing would train: there is no adversarial game and no fidelity; "
        "give discriminator and objective, or a fidelity",
    ),
    "penalty beside batch norm": (
        changed(objective={"kind": "penalty"}, discriminator={"kind": "critic_bn"}),
        "discriminator: objective 'penalty' penalises gradients, which batch norm mixes between pictures; "
        "set norm: none in the discriminator",
    ),
    "fidelity of a latent generator": (
        changed(generator={"kind": "latent"}, composite=False, fidelity=[{"kind": "consistency"}]),
        "fidelity.0: generator 'latent' completes nothing that it could compare; leave it out",
    ),
    "consistency of what is kept": (
        changed(fidelity=[{"kind": "again"}]),
        "fidelity.0: is always 0 where observed pixels are kept, for they are then measured as they were; "
        "set composite: false, or use held_out",
    ),
    "held_out without further": (
        changed(fidelity=[{"kind": "held_out"}]),
        "fidelity.0: needs a further measurement; set further",
    ),
    "metrics without pictures": (
        changed(data=data(holdout=0), metrics=[{"kind": "truth"}]),
        "metrics: they need held-out pictures; set data.holdout, such as 500",
    ),
    "truth of measured data": (
        changed(data=data(source={"kind": "holes"}), metrics=[{"kind": "spread"}, {"kind": "truth"}]),
        "metrics.1: 'truth' compares with the clean picture, and these data have none; "
        "metrics that need none: seam, spread",
    ),
    "a metric of holes that nobody knows": (
        changed(evaluation={"measurement": {"kind": "dim"}}, metrics=[{"kind": "seam"}]),
        "metrics.0: 'seam' needs the observed pixels, which evaluation.measurement 'dim' does not say; "
        "use another metric",
    ),
    "the same fidelity twice": (
        changed(fidelity=[{"kind": "consistency"}, {"kind": "consistency", "weight": 2}]),
        "fidelity.1: fidelity 'consistency' is listed twice; leave one out",
    ),
    "measured data under a sensor that always measures alike": (
        changed(data=data(source={"kind": "holes"}), measurement={"kind": "keep"}),
        "measurement.kind: always measures alike, but the holes of data set 'holes' differ: fakes would be "
        "told apart; use masks_of_data, or the law of the holes",
    ),
    "measured data without the masks that the sensor speaks of": (
        changed(data=data(source={"kind": "sums"}), measurement={"kind": "keep"}, composite=False),
        "measurement.kind: the sensor says which pixels are observed, and data set 'sums' does not say: "
        "fakes would be told apart; have the data say so (`observed` of measured_array), or use a sensor "
        "that is like the instrument",
    ),
    "a generator that completes what is no picture": (
        changed(measurement={"kind": "projection"}, composite=False),
        "generator.kind: reads pictures, and measurement 'projection' gives another size; "
        "use one that makes pictures from a latent (dcgan)",
    ),
    "a game without a gradient": (
        changed(measurement={"kind": "threshold"}, composite=False),
        "measurement.kind: 'threshold' has no gradient: the generator would learn nothing from a game; "
        "use a sensor with a (surrogate) gradient, or set discriminator: null and objective: null",
    ),
    "the same metric twice": (
        changed(metrics=[{"kind": "seam"}, {"kind": "seam"}]),
        "metrics.1: metric 'seam' is listed twice; leave one out",
    ),
    "best by a metric that is near": (
        changed(train=train(checkpoints={"best": "sean"}), metrics=[{"kind": "seam"}]),
        "train.checkpoints.best: 'sean' is not among the metrics; did you mean 'seam'?",
    ),
    "best by a metric that is not taken": (
        changed(train=train(checkpoints={"best": "seam"})),
        "train.checkpoints.best: 'seam' is not among the metrics; add {kind: seam} to metrics",
    ),
    "two fills of a generator that makes one": (
        changed(fidelity=[{"kind": "energy"}]),
        "fidelity.0: needs a generator with a latent, and 'net' takes none; "
        "set latent_channels in the generator",
    ),
    "features that nobody offers": (
        changed(fidelity=[{"kind": "matching"}]),
        "fidelity.0: needs a discriminator that offers its features, and there is none; "
        "use the discriminator dcgan, sngan or patch",
    ),
    "clean pictures for nobody": (
        changed(
            discriminator=None,
            objective=None,
            fidelity=[{"kind": "consistency"}],
            discriminator_data={"source": {"kind": "faces"}},
        ),
        "discriminator_data: there is no discriminator to show them to; set discriminator_data: null",
    ),
    "clean pictures that are not": (
        changed(discriminator_data={"source": {"kind": "holes"}}),
        "discriminator_data.source.kind: data set 'holes' has no clean pictures; use one that has",
    ),
    "beta2 of an optimiser without": (
        changed(
            train=train(
                generator_optimizer={"kind": "sgd", "lr": 0.1},
                discriminator_optimizer={"kind": "sgd", "lr": 0.1},
                schedules={"beta2": {"start": 0.9, "end": 0.99}},
            )
        ),
        "train.schedules.beta2: no optimiser is Adam; leave it out",
    ),
    "a schedule of no penalty": (
        changed(train=train(schedules={"penalty": {"start": 1, "end": 0}})),
        "train.schedules.penalty: the objective penalises no gradients; leave it out",
    ),
    "a schedule of no average": (
        changed(train=train(ema_decay=None, schedules={"ema": {"start": 0.9, "end": 0.99}})),
        "train.schedules.ema: train.ema_decay is null, so no generator is averaged; leave it out",
    ),
    "phases of one player": (
        changed(
            discriminator=None,
            objective=None,
            fidelity=[{"kind": "consistency"}],
            train=train(phases=[{"share": 1.0}]),
        ),
        "train.phases: there is no discriminator, so there is nothing to divide; set train.phases: []",
    ),
    "a generator alone with nothing to learn from": (
        changed(train=train(phases=[{"share": 0.5, "players": "generator"}, {"share": 0.5}])),
        "train.phases.0.players: alone, the generator would learn nothing: there is no fidelity; "
        "add a fidelity (held_out)",
    ),
    "parts that do not divide": (
        changed(train=train(accumulate=3)),
        "train.accumulate: must divide the batch size 8, which 3 does not",
    ),
    "a complaint": (
        changed(measurement={"kind": "block", "size": 40}),
        "measurement.size: too large for the picture; use a smaller one",
    ),
    "a complaint that goes by facts": (
        changed(measurement={"kind": "block", "size": 8, "fill": 0.5}, generator={"kind": "net_bn"}),
        "measurement.fill: the generator has batch norm",
    ),
    "complaints that fail": (
        changed(measurement={"kind": "grumbling"}),
        "measurement: measurement 'grumbling' (from the tests) failed: "
        "ZeroDivisionError: asked for complaints",
    ),
}


@pytest.mark.parametrize(("recipe", "message"), PAIRS.values(), ids=PAIRS)
def test_a_pair_that_cannot_work_gives_one_message(recipe, message):
    assert problems(recipe) == [message]


def test_every_rule_is_broken_by_some_recipe_here():
    """A rule that never speaks is not tested: take each away and see that something goes unsaid."""
    recipes = [recipe for recipe, _ in PAIRS.values()]
    recipes.append(changed(objective={"kind": "clip"}, discriminator={"kind": "critic_bn"}))
    silent = {rule.__name__ for rule in ALL_RULES} - {
        name for recipe in recipes for name in _speaking(recipe)
    }
    assert silent == set()


def _speaking(recipe):
    from ambientkit import recipe_check

    spoken = set()

    def spy(rule):
        def watched(case):
            found = list(rule(case))
            if found:
                spoken.add(rule.__name__)
            yield from found

        return watched

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipe_check, "ALL_RULES", tuple(map(spy, ALL_RULES)))
        with contextlib.suppress(RecipeError):
            plan(recipe)
    return spoken


def test_needs_of_a_fidelity_are_all_said():
    recipe = changed(measurement={"kind": "noise"}, composite=False, fidelity=[{"kind": "held_out"}])
    assert problems(recipe) == [
        "fidelity.0: needs a further measurement; set further",
        "fidelity.0: needs to know the observed pixels, which measurement 'noise' does not say; "
        "use another sensor or fidelity",
        "fidelity.0: needs observed pixels that are exact, which those of measurement 'noise' are not; "
        "use another sensor or fidelity",
    ]


SHIPPED = {
    "an inexact measurement of held-out pictures": (
        (
            "quickstart",
            "evaluation.measurement={kind: sequence, sensors: [{kind: block_patch}, {kind: gaussian_noise}]}",
        ),
        "evaluation.measurement.kind: 'sequence' changes pixels that compositing would keep; "
        "use an exact sensor, or set composite: false",
    ),
    "a second measurement of data that arrive measured": (
        (
            "incomplete_faces",
            "data.image_size=[64, 64]",
            "evaluation.measurement={kind: block_patch, size: 8}",
        ),
        "evaluation.measurement: data set 'incomplete' arrives measured and cannot be measured anew; "
        "set evaluation.measurement: null",
    ),
    "nothing held out": (
        ("folder_held_out", "further.probability=0"),
        "fidelity.0: needs a further measurement, and further.probability is 0; "
        "set further.probability above 0",
    ),
    "clean pictures where there are none": (
        ("incomplete_faces", "metrics=[{kind: kid}]"),
        "metrics.0: 'kid' compares with clean pictures, and these data have none; metrics that need none: ",
    ),
    "measurements that are no pictures": (
        ("ambientgan/mnist_project", "metrics=[{kind: remeasured_kid}]"),
        "metrics.0: 'remeasured_kid' looks at measurements as pictures, which these are not; leave it out",
    ),
    "held-out measurements that are no pictures": (
        (
            "ambientgan/mnist_block_pixels",
            "metrics=[{kind: remeasured_kid}]",
            "evaluation.measurement={kind: pad_rotate_project}",
        ),
        "metrics.0: 'remeasured_kid' looks at measurements as pictures, which these are not; leave it out",
    ),
    "several fills of a generator that makes one": (
        ("quickstart", "metrics=[{kind: diversity}]", "train.checkpoints.best=null"),
        "metrics.0: 'diversity' compares several fills, and 'unet' makes one; "
        "set latent_channels in the generator, or leave it out",
    ),
}


@pytest.mark.parametrize(("changes", "message"), SHIPPED.values(), ids=SHIPPED)
def test_what_a_change_of_a_shipped_recipe_breaks(changes, message):
    with pytest.raises(RecipeError) as caught:
        Engine(discover=False).load(*changes)
    assert any(message in str(problem) for problem in caught.value.problems), caught.value.problems


BLOCK = {"kind": "block_patch", "size": 28}


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        (
            ["measurement={kind: block_pixels, p: 0.9}", "further.measurement={kind: block_pixels, p: 0.5}"],
            True,
        ),
        (["measurement.size=20"], True),
        (["measurement.size=20", "further.completed_first=false"], False),
        (["measurement.size=20", "further.measurement.size=20"], False),
        (["measurement={kind: identity}"], True),
        (["measurement={kind: identity}", f"evaluation={{measurement: {BLOCK}}}"], False),
        ([], False),
    ],
)
def test_completed_first_with_other_holes_than_those_of_use_is_warned_of(changes, warned):
    found = [str(each) for each in Engine(discover=False).load("folder_block", *changes).warnings]
    assert any("never learns to fill these" in each for each in found) == warned
