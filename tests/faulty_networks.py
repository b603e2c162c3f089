"""Networks that keep their contract, and some that break one promise each."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import nn

from ambientkit import Discriminator, Generator
from ambientkit.errors import PluginError

SHAPE = (3, 16, 16)


def hidden(record):
    if record.observed is None:
        raise PluginError("the sensor says not what is observed")
    return (~record.observed).float()


class GoodGenerator(nn.Module, Generator):
    completes = True
    multiple = 2

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(5, 4, 3, padding=1), nn.SiLU(), nn.Conv2d(4, 3, 3, padding=1))

    def latent_shape(self, image_shape):
        return (1, *image_shape[1:])

    def shown(self, measured, latent):
        if measured is None or latent is None:
            raise PluginError("it completes a measurement with a latent")
        return torch.cat([measured.y, hidden(measured), latent], 1)

    def forward(self, measured, latent):
        return torch.tanh(self.layers(self.shown(measured, latent)))


class GoodDiscriminator(nn.Module, Discriminator):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(4, 4, 3, stride=2), nn.SiLU(), nn.Conv2d(4, 1, 3, stride=2))

    def forward(self, view):
        return self.layers(torch.cat([view.y, hidden(view)], 1)).mean((1, 2, 3))


# Faults that both kinds of network can have -----------------------------------------------------


class NoModule:
    completes, multiple = True, 1

    def latent_shape(self, image_shape):
        return None


class Raises:
    def forward(self, *inputs):
        raise KeyError("nothing of the kind")


class InDoubles:
    def forward(self, *inputs):
        return super().forward(*inputs).double()


class OwnNoise:
    def __init__(self):
        super().__init__()
        self.dice = torch.Generator()

    def forward(self, *inputs):
        return super().forward(*inputs) * torch.rand((), generator=self.dice)


class DividedByTheBatch:
    def forward(self, *inputs):
        made = super().forward(*inputs)
        return made / len(made)


class DrawsGlobally:
    def forward(self, *inputs):
        torch.rand(1)
        return super().forward(*inputs)


class Counts:
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, *inputs):
        self.calls += 1
        return super().forward(*inputs)


class Writes:
    def forward(self, *inputs):
        if inputs[0] is not None:
            inputs[0].y.mul_(0.5)
        return super().forward(*inputs)


class HasAnUnusedWeight:
    def __init__(self):
        super().__init__()
        self.unused = nn.Parameter(torch.ones(()))


class HasStateThatIsNoTensor:
    def get_extra_state(self):
        return {"steps": 1}

    def set_extra_state(self, state):
        return None


class KeepsAComputedWeight:
    def __init__(self):
        super().__init__()
        self.computed = self.layers[0].weight * 2  # torch cannot copy what is no leaf


class WarmsUp:
    """Counts its passes in training in a number, which no checkpoint holds."""

    def __init__(self):
        super().__init__()
        self.passes = 0

    def forward(self, *inputs):
        self.passes += self.training
        return super().forward(*inputs) * (min(1.0, self.passes / 4) if self.training else 1.0)


class KeepsAPlainTensor:
    """No buffer, so that it stays where it was made."""

    def __init__(self):
        super().__init__()
        self.gain = torch.full((1,), 0.9)

    def forward(self, *inputs):
        return super().forward(*inputs) * self.gain


class Strides:
    def forward(self, *inputs):
        if inputs[0] is not None:
            inputs[0].y.view(len(inputs[0].y), -1)
        return super().forward(*inputs)


class MixesDtypes:
    def forward(self, *inputs):
        made = super().forward(*inputs)
        out = torch.zeros(made.shape)
        out[made == made] = made[made == made]
        return out


class NeedsObserved:
    def forward(self, *inputs):
        inputs[0].observed.any()
        return super().forward(*inputs)


# Faults of generators ---------------------------------------------------------------------------


class NoMultiple(GoodGenerator):
    multiple = 0


class Crops(GoodGenerator):
    def forward(self, measured, latent):
        return super().forward(measured, latent)[..., 1:]


class Unbounded(GoodGenerator):
    def forward(self, measured, latent):
        return 0.1 * self.layers(self.shown(measured, latent))


class IgnoresTheMeasurement(GoodGenerator):
    def forward(self, measured, latent):
        if measured is not None:
            measured = replace(measured, y=torch.zeros_like(measured.y))
        return super().forward(measured, latent)


class DeniesThatItCompletes(GoodGenerator):
    completes = False


class IgnoresTheLatent(GoodGenerator):
    def forward(self, measured, latent):
        return super().forward(measured, None if latent is None else torch.zeros_like(latent))


class OfOneSize(GoodGenerator):
    def __init__(self):
        super().__init__()
        self.place = nn.Parameter(torch.ones(3, 16, 16))

    def forward(self, measured, latent):
        return super().forward(measured, latent) * torch.tanh(self.place)


# Faults of discriminators -----------------------------------------------------------------------


class ScoresInAColumn(GoodDiscriminator):
    def forward(self, view):
        return super().forward(view).unsqueeze(1)


class RootOfTheRest(GoodDiscriminator):
    def forward(self, view):
        return super().forward(view) + (4 - view.y.square().mean((1, 2, 3))).sqrt()


class Squashed(GoodDiscriminator):
    def forward(self, view):
        return torch.sigmoid(super().forward(view))


class Detached(GoodDiscriminator):
    def forward(self, view):
        return super().forward(replace(view, y=view.y.detach()))


class MeanOverTheRegion(GoodDiscriminator):
    def forward(self, view):
        if view.region is None:
            raise PluginError("it looks at a region")
        inside = (view.y * view.region).sum((1, 2, 3)) / view.region.sum((1, 2, 3))
        return super().forward(view) + inside


class NeedsARegion(GoodDiscriminator):
    def forward(self, view):
        view.region.any()
        return super().forward(view)


class FeaturesOfThePicture(GoodDiscriminator):
    def features(self, view):
        return [view.y.mean((0, 1))]


class DetachedFeatures(GoodDiscriminator):
    def features(self, view):
        with torch.no_grad():
            return [view.y * 2]


SHARED_FAULTS = {
    NoModule: "it_is_an_nn_module",
    Raises: "it_runs",
    InDoubles: "results_are_float32",
    OwnNoise: "the_same_input_gives_the_same_result",
    DividedByTheBatch: "a_batch_equals_its_parts_one_by_one",
    DrawsGlobally: "evaluation_leaves_the_global_random_states",
    Counts: "evaluation_changes_no_state",
    Writes: "inputs_are_not_written_to",
    HasAnUnusedWeight: "gradient_reaches_every_weight",
    HasStateThatIsNoTensor: "weights_can_be_saved_and_loaded",
    KeepsAComputedWeight: "copies_compute_the_same",
    Strides: "channels_last_inputs_are_taken",
    MixesDtypes: "bfloat16_gives_finite_results",
    WarmsUp: "training_goes_on_from_saved_weights",
    KeepsAPlainTensor: "tensors_are_made_on_the_device_of_the_inputs",
    NeedsObserved: "what_is_missing_is_refused_by_name",
}
"""Faults, to be mixed into a network, and the one check that finds each."""

FAULTY_GENERATORS = {
    NoMultiple: "declarations_have_values_that_exist",
    Crops: "pictures_have_the_declared_shape",
    Unbounded: "pictures_lie_between_minus_one_and_one",
    IgnoresTheMeasurement: "completes_is_declared_honestly",
    DeniesThatItCompletes: "completes_is_declared_honestly",
    IgnoresTheLatent: "the_latent_is_declared_honestly",
    OfOneSize: "sizes_that_are_multiples_are_completed",
}
FAULTY_DISCRIMINATORS = {
    ScoresInAColumn: "scores_have_the_declared_shape",
    RootOfTheRest: "scores_are_finite",
    Squashed: "scores_are_raw",
    Detached: "gradient_reaches_the_measurement",
    MeanOverTheRegion: "any_region_gives_finite_scores",
    FeaturesOfThePicture: "features_are_maps_of_the_batch",
    DetachedFeatures: "features_are_maps_of_the_batch",
    NeedsARegion: "what_is_missing_is_refused_by_name",
}


def mixed(good):
    """Every shared fault in a network of a kind, with the check that finds it."""
    return {
        fault if fault is NoModule else type(fault.__name__, (fault, good), {}): check
        for fault, check in SHARED_FAULTS.items()
    }
