"""Objectives and fidelities that keep their contract, and some that break one promise each."""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from ambientkit import Fidelity, Measured, Objective
from ambientkit.errors import PluginError

# Objectives -------------------------------------------------------------------------------------


class GoodObjective(Objective):
    """The non-saturating game."""

    def mean(self, values):
        return values.mean()

    def discriminator_terms(self, critic, real, fake):
        costs = functional.softplus(-critic(real)), functional.softplus(critic(fake))
        return {"real": self.mean(costs[0]), "fake": self.mean(costs[1])}

    def generator_terms(self, critic, real, fake):
        return {"adversarial": self.mean(functional.softplus(-critic(fake)))}


class NoTerms(GoodObjective):
    def generator_terms(self, critic, real, fake):
        return functional.softplus(-critic(fake)).mean()


class Slashed(GoodObjective):
    def generator_terms(self, critic, real, fake):
        return {"generator/loss": functional.softplus(-critic(fake)).mean()}


class OneAxis(GoodObjective):
    def mean(self, values):
        return values.mean()[None]


class LogOfSigmoid(GoodObjective):
    def discriminator_terms(self, critic, real, fake):
        cost = -(torch.sigmoid(critic(real)).log().mean() + (1 - torch.sigmoid(critic(fake))).log().mean())
        return {"cost": cost}


class LogOfOneAndExp(GoodObjective):
    """exp of a float32 is infinite from 89 on."""

    def discriminator_terms(self, critic, real, fake):
        return {"cost": (1 + (-critic(real)).exp()).log().mean() + (1 + critic(fake).exp()).log().mean()}


class DislikesSureness(GoodObjective):
    """It raises only where the kit looks closely: no other check would tell."""

    def generator_terms(self, critic, real, fake):
        if critic(fake).abs().max() > 50:
            raise ValueError("too sure")
        return super().generator_terms(critic, real, fake)


class DetachedCritic(GoodObjective):
    def discriminator_terms(self, critic, real, fake):
        return super().discriminator_terms(lambda view: critic(view).detach(), real, fake)


class DetachedFake(GoodObjective):
    def generator_terms(self, critic, real, fake):
        return super().generator_terms(lambda view: critic(view).detach(), real, fake)


class WrongSignOfFakes(GoodObjective):
    def discriminator_terms(self, critic, real, fake):
        return {"real": -critic(real).mean(), "fake": -0.5 * critic(fake).mean()}


class WrongSignOfTheGenerator(GoodObjective):
    def generator_terms(self, critic, real, fake):
        return {"adversarial": critic(fake).mean()}


class SumOverTheBatch(GoodObjective):
    def mean(self, values):
        return values.sum(0).mean()


class SumOverTheMap(GoodObjective):
    def mean(self, values):
        return values.flatten(1).sum(1).mean() if values.dim() == 4 else values.mean()


class ChangesViews(GoodObjective):
    def discriminator_terms(self, critic, real, fake):
        real.y.mul_(0.999)
        return super().discriminator_terms(critic, real, fake)


class AsksForAGradient(GoodObjective):
    def discriminator_terms(self, critic, real, fake):
        real.y.requires_grad_()
        return super().discriminator_terms(critic, real, fake)


class DrawsWithNumpy(GoodObjective):
    def mean(self, values):
        return values.mean() + 1e-9 * np.random.rand()


class DrawsForItself(GoodObjective):
    def __init__(self):
        self.dice = torch.Generator()

    def mean(self, values):
        return values.mean() + 1e-6 * torch.rand((), generator=self.dice)


class SetsTheSeed(GoodObjective):
    def mean(self, values):
        torch.manual_seed(0)
        return values.mean()


class DividesByNothing(GoodObjective):
    def after_discriminator_step(self, discriminator):
        for weight in discriminator.parameters():
            weight.div_(weight.abs().min() * 0)


class WritesWeights(GoodObjective):
    def discriminator_terms(self, critic, real, fake):
        terms = super().discriminator_terms(critic, real, fake)
        for weight in critic.parameters():
            weight.data.mul_(0.5)
        return terms


class LabelsOnTheCPU(GoodObjective):
    def generator_terms(self, critic, real, fake):
        scores = critic(fake)
        return {"adversarial": functional.binary_cross_entropy_with_logits(scores, torch.ones(scores.shape))}


class PlacesOnTheCPU(GoodObjective):
    """A gradient penalty that draws its places between real and fake on the CPU."""

    def penalty_terms(self, critic, real, fake):
        mix = torch.rand(len(real.y), 1, 1, 1)
        between = (mix * real.y + (1 - mix) * fake.y).detach().requires_grad_()
        scores = critic(type(real)(between, real.observed, real.known, real.region))
        gradient = torch.autograd.grad(scores.sum(), between, create_graph=True)[0]
        return {"penalty": 1e-3 * gradient.flatten(1).square().sum(1).mean()}


class PenaltyOverTheBatch(GoodObjective):
    def penalty_terms(self, critic, real, fake):
        return {"steep": 1e-2 * critic(real).reshape(len(real.y), -1).mean(1).square().sum()}


class NeverDue(GoodObjective):
    penalty_every = 0


FAULTY_OBJECTIVES = {
    NoTerms: "both_players_get_terms",
    Slashed: "terms_have_short_names",
    OneAxis: "terms_are_scalars",
    LogOfSigmoid: "terms_stay_finite_on_confident_scores",
    DislikesSureness: "terms_stay_finite_on_confident_scores",
    LogOfOneAndExp: "terms_stay_finite_on_confident_scores",
    DetachedCritic: "the_discriminator_gets_a_gradient",
    DetachedFake: "the_generator_gets_a_gradient",
    WrongSignOfFakes: "the_discriminator_gains_by_telling_them_apart",
    WrongSignOfTheGenerator: "the_generator_gains_by_fooling_the_discriminator",
    SumOverTheBatch: "terms_are_means_over_the_batch",
    SumOverTheMap: "terms_are_means_over_maps_of_scores",
    ChangesViews: "views_are_not_written_to",
    AsksForAGradient: "views_are_not_written_to",
    DrawsWithNumpy: "randomness_is_torchs_alone",
    DrawsForItself: "randomness_is_torchs_alone",
    SetsTheSeed: "randomness_is_torchs_alone",
    WritesWeights: "weights_are_left_to_the_optimiser",
    PenaltyOverTheBatch: "terms_are_means_over_the_batch",
    LabelsOnTheCPU: "terms_are_made_on_the_device_of_the_views",
    PlacesOnTheCPU: "terms_are_made_on_the_device_of_the_views",
    NeverDue: "penalties_are_due_at_whole_intervals",
    DividesByNothing: "after_a_step_the_discriminator_is_sound",
}


class GradientPenalty(GoodObjective):
    """Needs no clipping, and draws places between real and fake from torch's global generator."""

    def discriminator_terms(self, critic, real, fake):
        return {"real": -critic(real).mean(), "fake": critic(fake).mean()}

    def penalty_terms(self, critic, real, fake):
        mix = torch.rand(len(real.y), 1, 1, 1, device=real.y.device)
        between = (mix * real.y + (1 - mix) * fake.y).detach().requires_grad_()
        scores = critic(type(real)(between, real.observed, real.known, real.region))
        gradient = torch.autograd.grad(scores.sum(), between, create_graph=True)[0]
        return {"penalty": (gradient.flatten(1).norm(dim=1) - 1).square().mean()}


# Fidelities -------------------------------------------------------------------------------------


class GoodFidelity(Fidelity):
    """Mean error over what was held out."""

    def terms(self, trip, restore, measure):
        return {"held": self.mean(trip)}

    def target(self, trip):
        if trip.observed is None:
            raise PluginError("it needs a sensor that says what it observes")
        return trip.observed & ~trip.observed_further

    def mean(self, trip):
        target = self.target(trip)
        error = torch.where(target, trip.made - trip.y, 0.0).abs()
        return error.sum() / target.sum().clamp(min=1)


class GivesNothing(GoodFidelity):
    def terms(self, trip, restore, measure):
        return None


class Nameless(GoodFidelity):
    def terms(self, trip, restore, measure):
        return {"": self.mean(trip)}


class OneAPicture(GoodFidelity):
    def terms(self, trip, restore, measure):
        return {"held": self.mean(trip).expand(2)}


class Infinite(GoodFidelity):
    def terms(self, trip, restore, measure):
        return {"held": self.mean(trip), "more": torch.full_like(self.mean(trip), float("inf"))}


class DetachedPictures(GoodFidelity):
    def mean(self, trip):
        return super().mean(trip).detach()


class ZeroOverZero(GoodFidelity):
    def mean(self, trip):
        target = self.target(trip)
        return torch.where(target, trip.made - trip.y, 0.0).abs().sum() / target.sum()


class LooksAtHiddenPixels(GoodFidelity):
    def mean(self, trip):
        return super().mean(trip) + 1e-3 * (self.target(trip) * (trip.made - trip.y)).abs().mean()


class Sums(GoodFidelity):
    def mean(self, trip):
        return torch.where(self.target(trip), trip.made - trip.y, 0.0).abs().sum()


class WritesIntoTheTrip(GoodFidelity):
    def mean(self, trip):
        trip.y.mul_(0.999)
        return super().mean(trip)


class DrawsOnItsOwn(GoodFidelity):
    def __init__(self):
        self.dice = torch.Generator()

    def mean(self, trip):
        return super().mean(trip) + 1e-6 * torch.rand((), generator=self.dice)


class WindowOnTheCPU(GoodFidelity):
    """Weighs the error with what is kept where it was made."""

    def __init__(self):
        self.window = torch.full((1, 1, 1, 1), 1.0)

    def mean(self, trip):
        target = self.target(trip)
        error = torch.where(target, trip.made - trip.y, 0.0).abs()
        return (error * self.window).sum() / target.sum().clamp(min=1)


class RestoresATensor(GoodFidelity):
    def terms(self, trip, restore, measure):
        self.target(trip)
        return {"again": (restore(trip.y_fake) - trip.completed).square().mean()}


class MeasuresWithNoTheta(GoodFidelity):
    def terms(self, trip, restore, measure):
        self.target(trip)
        return {"again": (measure(trip.made, {}) - trip.y_fake).square().mean()}


class NeedsSomethingHeldOut(GoodFidelity):
    """It raises where nothing is, as a quantile of nothing does."""

    def terms(self, trip, restore, measure):
        if not self.target(trip).any():
            raise ValueError("there is nothing to compare")
        return super().terms(trip, restore, measure)


class CannotDoWithout(GoodFidelity):
    def target(self, trip):
        return trip.observed & ~trip.observed_further


FAULTY_FIDELITIES = {
    GivesNothing: "a_round_trip_gets_terms",
    Nameless: "fidelity_terms_have_short_names",
    OneAPicture: "fidelity_terms_are_scalars",
    Infinite: "fidelity_terms_are_finite",
    DetachedPictures: "gradient_reaches_the_generator",
    ZeroOverZero: "nothing_to_compare_gives_finite_terms",
    NeedsSomethingHeldOut: "nothing_to_compare_gives_finite_terms",
    LooksAtHiddenPixels: "hidden_pixels_are_not_used",
    Sums: "fidelity_terms_are_means",
    WritesIntoTheTrip: "the_round_trip_is_not_written_to",
    DrawsOnItsOwn: "fidelity_randomness_is_torchs_alone",
    WindowOnTheCPU: "fidelity_terms_are_made_on_the_device_of_the_trip",
    RestoresATensor: "restore_and_measure_get_what_they_take",
    MeasuresWithNoTheta: "restore_and_measure_get_what_they_take",
    CannotDoWithout: "a_sensor_that_does_not_say_what_it_saw_is_refused_by_name",
}


class Consistent(Fidelity):
    """Completes the fake measurement and measures it again (UAIR's consistency); needs no `observed`."""

    def terms(self, trip, restore, measure):
        again = restore(Measured(trip.y_fake, trip.observed_fake))
        return {"consistency": (measure(again, trip.theta_fresh) - trip.y_fake).square().mean()}
