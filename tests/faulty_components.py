"""Components that keep their word, and some whose options or builds break one promise each."""

from __future__ import annotations

import itertools
from typing import Literal

import torch
from faulty_datasets import GoodDataset
from faulty_losses import GoodObjective
from faulty_networks import GoodDiscriminator
from pydantic import Field, field_serializer

from ambientkit import Complaint, Component, Options

_counter = itertools.count(1)


class GameOptions(Options):
    """The non-saturating game."""

    target: float = Field(1.0, gt=0, le=1)
    """What reals are drawn to."""

    def facts(self):
        return frozenset()


class CriticOptions(Options):
    """A critic of two convolutions."""

    norm: Literal["none", "batch"] = "none"
    """What comes after the first."""

    def facts(self):
        return frozenset()


def component(options, build, category="objective"):
    return category, Component("thing", options, build)


def game(options, context):
    return GoodObjective()


def critic(options, context):
    return GoodDiscriminator()


class Undescribed(GameOptions):
    """The non-saturating game."""

    weight: float = 1.0


class Forgetful(GameOptions):
    """The non-saturating game."""

    @field_serializer("target")
    def rounded(self, value):
        return 0.5


class Misspelt(GameOptions):
    """The non-saturating game."""

    def facts(self):
        return frozenset({"clip_weights"})


class Talkative(GameOptions):
    """The non-saturating game."""

    def complaints(self, context):
        yield Complaint("targett", "cannot be so", warning=True)


class ClipsOnPaper(GameOptions):
    """The non-saturating game."""

    def facts(self):
        return frozenset({"clips_weights"})


def fails(options, context):
    raise KeyError("no such thing")


def draws(options, context):
    torch.rand(1)
    return GoodObjective()


def other_every_time(options, context):
    network = GoodDiscriminator()
    with torch.no_grad():
        network.layers[0].weight.mul_(1 + 0.1 * next(_counter))
    return network


class PicturesOptions(Options):
    """A few pictures."""

    def facts(self):
        return frozenset({"clean"})


def pictures_of_the_hour(options, context):
    data = GoodDataset()
    data.fingerprint = f"built {next(_counter)} times"
    return data


class KeepsAPlainTensor(GoodDiscriminator):
    def __init__(self):
        super().__init__()
        self.scale = torch.rand(()) + 1

    def forward(self, view):
        return super().forward(view) * self.scale


FAULTY_COMPONENTS = {
    "an option that is not described": (component(Undescribed, game), "options_are_described"),
    "an option that is written otherwise": (component(Forgetful, game), "options_survive_a_recipe"),
    "a misspelt fact": (component(Misspelt, game), "facts_are_words_that_the_engine_knows"),
    "a complaint of no option": (component(Talkative, game), "complaints_are_records_about_options"),
    "a build that fails": (component(GameOptions, fails), "it_can_be_built"),
    "a data set with a fingerprint of the hour": (
        component(PicturesOptions, pictures_of_the_hour, "dataset"),
        "a_data_set_is_the_same_when_it_is_built_again",
    ),
    "a fact that does not hold": (component(ClipsOnPaper, game), "facts_agree_with_what_is_built"),
    "a build that draws": (component(GameOptions, draws), "building_leaves_the_global_random_states"),
    "weights that differ": (
        component(CriticOptions, other_every_time, "discriminator"),
        "first_weights_depend_on_the_seed_alone",
    ),
    "a tensor that is not saved": (
        component(CriticOptions, lambda options, context: KeepsAPlainTensor(), "discriminator"),
        "weights_fit_another_build",
    ),
}
"""(category, component) and the one check that finds it."""
