"""What a plugin's network, loss or metric returns in a wrong form is told with its name and a remedy."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from faulty_datasets import GoodDataset, GoodMeasurements
from torch import nn

from ambientkit import Component, Evaluated, Generator, Measured, Metric, Objective, Options, View
from ambientkit.assembly import build
from ambientkit.data_check import require_sound
from ambientkit.errors import DataError, PluginError, RunError
from ambientkit.interfaces import Context, Judged, RoundTrip
from ambientkit.machine import Machine, features_of
from ambientkit.recipe_check import _facts
from ambientkit.returned import (
    require_latent,
    require_network,
    require_objective,
    score_of,
    summary_of,
    terms_of,
    total_of,
    values_of,
)
from ambientkit.testing.components import choice_of


class Gives(Objective):
    """Terms as they are given."""

    def __init__(self, terms):
        self.terms = terms

    def discriminator_terms(self, critic, real, fake):
        return self.terms

    def generator_terms(self, critic):
        return self.terms


@pytest.mark.parametrize(
    ("terms", "told"),
    [
        (None, "it returned a NoneType; return a dict"),
        (torch.zeros(()), r"it returned a tensor \(\) of torch.float32"),
        ({"a": 0.5}, "its term 'a' is a float"),
        ({"a": torch.zeros(4)}, r"its term 'a' is a tensor \(4,\)"),
    ],
)
def test_terms_that_are_none_are_told(terms, told):
    with pytest.raises(RunError, match=rf"Gives\.discriminator_terms: {told}"):
        terms_of(Gives(terms).discriminator_terms, None, None, None)


def test_terms_are_handed_on():
    terms = {"a": torch.ones(())}
    assert terms_of(Gives(terms).discriminator_terms, None, None, None) == terms


def test_a_method_with_other_arguments_is_told():
    with pytest.raises(RunError, match=r"takes 2 positional .* give it the arguments"):
        terms_of(Gives({}).generator_terms, None, None, None)


def test_terms_that_teach_nothing_are_told():
    network = nn.Linear(1, 1)
    with pytest.raises(RunError, match="no term tells Linear what to learn"):
        total_of({}, network)
    with pytest.raises(RunError, match="the terms generator/a have no gradient by the weights of Linear"):
        total_of({"generator/a": torch.ones(())}, network)


class Says(Metric):
    """Whatever it is told to say."""

    def __init__(self, said):
        self.said = said

    def per_picture(self, evaluated):
        return self.said

    def summary(self, values):
        return self.said

    def score(self, summary):
        return self.said


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (torch.zeros(2), r"it returned a tensor \(2,\)"),
        ({"e": 1.0}, "its 'e' is a float for 2 pictures"),
        ({"e": torch.zeros(())}, r"its 'e' is a tensor \(\) of torch.float32 for 2 pictures"),
    ],
)
def test_values_without_a_row_a_picture_are_told(said, told):
    pictures = torch.zeros(2, 1, 4, 4)
    with pytest.raises(RunError, match=rf"Says\.per_picture: {told}"):
        values_of(Says(said), Evaluated(pictures, None, pictures, pictures))


@pytest.mark.parametrize("said", [0.5, {"e": torch.zeros(())}, {"e": "0.5"}])
def test_a_summary_that_is_no_plain_numbers_is_told(said):
    with pytest.raises(RunError, match=r"Says\.summary: it.*; return a dict of Python floats"):
        summary_of(Says(said), {})


@pytest.mark.parametrize("said", [None, torch.zeros(())])
def test_a_score_that_is_no_number_is_told(said):
    with pytest.raises(RunError, match=r"Says\.score: it returned a .*; return a float, higher is better"):
        score_of(Says(said), {})


class Bare(nn.Linear):
    """A network that can be trained, and has nothing else of a generator."""


class Fixed(nn.Module, Generator):
    """A generator without a weight."""


class Long(Bare, Generator):
    """A latent of which it tells the length alone."""

    def latent_shape(self, image_shape):
        return 8


class Property(Bare, Generator):
    """A shape where a method should be."""

    latent_shape = (8,)


@pytest.mark.parametrize(
    ("network", "told"),
    [
        (None, "`build` returned a NoneType; return a torch.nn.Module"),
        (Bare, "`build` returned the class Bare; return a torch.nn.Module"),
        (Fixed(), "it has no weights to train"),
        (Bare(1, 1), "it has no `completes`; write it, or inherit ambientkit.Generator"),
        (Property(1, 1), "`latent_shape` is no method"),
    ],
)
def test_a_generator_that_cannot_be_trained_is_told(network, told):
    with pytest.raises(PluginError, match=f"generator mine/net: {told}"):
        require_network("generator mine/net", "generator", network)


def test_a_discriminator_needs_nothing_but_weights():
    require_network("discriminator mine/net", "discriminator", Bare(1, 1))


def test_a_latent_of_a_number_is_told():
    with pytest.raises(PluginError, match="Long: `latent_shape` returned 8; return a tuple of ints, or None"):
        require_latent(Long(1, 1), (1, 4, 4))


def test_penalties_that_are_never_due_are_told():
    never = Gives({})
    never.penalty_every = 0
    with pytest.raises(PluginError, match="Gives: `penalty_every` is 0; make it 1 or more"):
        require_objective(never)


class Shows(nn.Module):
    """A network that returns lists, and no inner maps."""

    def forward(self, view):
        return [view.y]

    def features(self, view):
        return {}


def test_a_network_that_returns_no_tensor_is_told():
    machine = Machine(torch.device("cpu"), bf16=False)
    view = View(torch.zeros(1, 1, 4, 4))
    with pytest.raises(PluginError, match="Shows: `forward` returned a list; return one tensor"):
        machine.run(Shows(), view)
    with pytest.raises(PluginError, match="Shows: `features` returned a dict; return its inner maps"):
        features_of(machine, Shows())(view)


class MaskOfFloats(GoodMeasurements):
    def measured(self, indices):
        arrived = super().measured(indices)
        return Measured(arrived.y, arrived.observed.float())


class MaskWithoutChannel(GoodMeasurements):
    def measured(self, indices):
        arrived = super().measured(indices)
        return Measured(arrived.y, arrived.observed[:, 0])


@pytest.mark.parametrize("kind", [MaskOfFloats, MaskWithoutChannel])
def test_a_mask_of_another_form_is_told(kind):
    require_sound(GoodMeasurements(), None)
    with pytest.raises(DataError, match=r"data set Mask\w+: `observed` is .*; give a bool mask \(n, 1 or C"):
        require_sound(kind(), None)


class Unsized:
    image_shape, keys, fingerprint, value_range, arrives_measured = (1, 4, 4), ("a",), "f", (-1, 1), False


def test_a_data_set_without_a_length_is_told():
    with pytest.raises(DataError, match=r"data set Unsized: it has no `__len__`; inherit ambientkit.Dataset"):
        require_sound(Unsized(), None)


@pytest.mark.parametrize(("built", "told"), [(None, "None"), (Says, "the class Says")])
def test_a_component_that_is_not_returned_is_told(built, told):
    choice = choice_of(Component("mine", Options, lambda options, context: built), "metric")
    with pytest.raises(PluginError, match=rf"metric mine \(.*\): `build` returned {told}; return"):
        build(choice, Context())


class OneWord(Options):
    """A metric that declares a word and no set of words."""

    def facts(self):
        return "truth"


def test_facts_that_are_no_set_of_words_are_told():
    choice = choice_of(Component("mine", OneWord, lambda options, context: Says({})), "metric")
    with pytest.raises(TypeError, match="`facts` returned a str; return a frozenset of words"):
        _facts(choice, Context())


class WritesTruth(Metric):
    def per_picture(self, evaluated):
        return {"error": evaluated.completed.clamp_(0, 1).flatten(1).mean(1)}

    def summary(self, values):
        return {}

    def score(self, summary):
        return 0.0


class WritesView(Gives):
    def discriminator_terms(self, critic, real, fake):
        fake.y.mul_(2)
        return self.terms


def test_who_writes_into_what_others_are_given_is_told():
    pictures = torch.rand(2, 3, 8, 8)
    evaluated = Evaluated(y=pictures, observed=None, made=pictures, completed=pictures.clone(), truth=None)
    with pytest.raises(RunError, match=r"WritesTruth\.per_picture: it wrote into `completed`; make a new"):
        values_of(WritesTruth(), evaluated)
    objective = WritesView({"a": torch.zeros(())})
    with pytest.raises(RunError, match=r"WritesView\.discriminator_terms: it wrote into `y`"):
        terms_of(objective.discriminator_terms, None, View(pictures), View(pictures.clone()))


class Writes(Gives):
    """An objective, fidelity and metric that writes where it is told to."""

    def __init__(self, where):
        super().__init__({"a": torch.zeros(())})
        self.where = where

    def discriminator_terms(self, critic, real, fake):
        self.where(fake).mul_(2)
        return self.terms

    def fidelity_terms(self, trip, restore, measure):
        self.where(trip).zero_()
        return self.terms

    def summary(self, values):
        return {"mse": float(self.where(values).sqrt_().mean())}


def round_trip() -> RoundTrip:
    y = torch.rand(2, 3, 8, 8)
    view = View(y.clone(), known={"gain": torch.ones(2)})
    judged = Judged(view, View(y.clone()), lambda view: [])
    parts = {"y_further": y, "observed_further": None, "made": y.clone(), "completed": y.clone()}
    fresh = {"theta_fresh": {"noise": torch.rand(2, 3, 8, 8)}, "y_fake": y.clone(), "observed_fake": None}
    return RoundTrip(y=y, observed=None, **parts, **fresh, judged=judged)


@pytest.mark.parametrize(
    ("where", "told"),
    [
        (lambda trip: trip.theta_fresh["noise"], r"theta_fresh\.noise"),
        (lambda trip: trip.judged.real.y, r"judged\.real\.y"),
        (lambda trip: trip.judged.real.known["gain"], r"judged\.real\.known\.gain"),
    ],
)
def test_who_writes_into_what_lies_deeper_is_told(where, told):
    trip = round_trip()
    with pytest.raises(RunError, match=rf"Writes\.fidelity_terms: it wrote into `{told}`; make a new tensor"):
        terms_of(Writes(where).fidelity_terms, trip, None, None)


def test_who_writes_into_what_an_instrument_reports_is_told():
    fake = View(torch.rand(2, 3, 8, 8), known={"gain": torch.ones(2)})
    writes = Writes(lambda view: view.known["gain"])
    with pytest.raises(RunError, match=r"Writes\.discriminator_terms: it wrote into `known\.gain`"):
        terms_of(writes.discriminator_terms, None, View(fake.y), fake)


def test_a_summary_that_writes_into_the_values_is_told():
    with pytest.raises(RunError, match=r"Writes\.summary: it wrote into `mse`; make a new tensor"):
        summary_of(Writes(lambda values: values["mse"]), {"mse": torch.rand(4)})


class Shuffled(GoodDataset):
    def images(self, indices):
        return torch.rand(len(indices), *self.image_shape)


class ShuffledMeasurements(GoodMeasurements):
    def measured(self, indices):
        return replace(super().measured(indices), y=torch.rand(len(indices), *self.image_shape))


@pytest.mark.parametrize("kind", [Shuffled, ShuffledMeasurements])
def test_data_that_differ_when_they_are_read_again_are_told(kind):
    with pytest.raises(DataError, match="the same index gave another sample when it was read again"):
        require_sound(kind(), None)
