"""Metrics that keep their contract, and some that break one promise each."""

from __future__ import annotations

import torch

from ambientkit import Metric
from ambientkit.errors import PluginError


class GoodMetric(Metric):
    """Mean absolute error over hidden pixels."""

    needs_truth = True

    def holes(self, evaluated):
        if evaluated.observed is None:
            raise PluginError("it looks at holes; use a sensor that says what it observes")
        return (~evaluated.observed).expand_as(evaluated.made).flatten(1)

    def per_picture(self, evaluated):
        holes = self.holes(evaluated)
        error = (evaluated.made - evaluated.truth).abs().flatten(1)
        return {"error": (error * holes).sum(1) / holes.sum(1)}

    def summary(self, values):
        return {"error": float(values["error"].double().nanmean())}

    def score(self, summary):
        return -summary["error"]


class OneForAll(GoodMetric):
    def per_picture(self, evaluated):
        return {"error": super().per_picture(evaluated)["error"].mean()}


class TensorsInTheSummary(GoodMetric):
    def summary(self, values):
        return {**super().summary(values), "count": torch.tensor(len(values["error"]))}


class ForgetsThatPicturesAreDrawnTwice(GoodMetric):
    def summaries(self, values, draws):
        return [super(GoodMetric, self).summaries(values, [draw.unique()])[0] for draw in draws]


class ScoresNothing(GoodMetric):
    def score(self, summary):
        return None


class ErrorAsScore(GoodMetric):
    def score(self, summary):
        return summary["error"]


class DeniesTheTruth(GoodMetric):
    needs_truth = False


class WantsTheTruthForNothing(GoodMetric):
    def per_picture(self, evaluated):
        return {"error": evaluated.completed.diff(dim=-1).abs().mean((1, 2, 3))}


class OverTheBatch(GoodMetric):
    def per_picture(self, evaluated):
        return {"error": super().per_picture(evaluated)["error"] / len(evaluated.made)}


class NeedsHoles(GoodMetric):
    def per_picture(self, evaluated):
        for hole in self.holes(evaluated):
            hole.nonzero().min()
        return super().per_picture(evaluated)


class InColour(GoodMetric):
    def per_picture(self, evaluated):
        evaluated.made * torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1) @ torch.zeros(32, 1)
        return super().per_picture(evaluated)


class NeedsObserved(GoodMetric):
    def holes(self, evaluated):
        return (~evaluated.observed).expand_as(evaluated.made).flatten(1)


class WritesIntoPictures(GoodMetric):
    def per_picture(self, evaluated):
        evaluated.made.mul_(0.999)
        return super().per_picture(evaluated)


class WritesIntoValues(GoodMetric):
    def summary(self, values):
        values["error"].mul_(1.0001)
        return super().summary(values)


class Remembers(GoodMetric):
    def __init__(self):
        self.calls = 0

    def summary(self, values):
        self.calls += 1
        return {"error": super().summary(values)["error"] + 1e-9 * self.calls}


class DrawsGlobally(GoodMetric):
    def per_picture(self, evaluated):
        torch.rand(1)
        return super().per_picture(evaluated)


FAULTY_METRICS = {
    OneForAll: "every_picture_gets_values",
    TensorsInTheSummary: "the_summary_is_plain_numbers",
    ForgetsThatPicturesAreDrawnTwice: "summaries_are_those_of_the_pictures_drawn",
    ScoresNothing: "the_score_is_a_number",
    ErrorAsScore: "better_pictures_score_higher",
    DeniesTheTruth: "needs_truth_is_declared_honestly",
    WantsTheTruthForNothing: "needs_truth_is_declared_honestly",
    OverTheBatch: "batches_do_not_matter",
    NeedsHoles: "nothing_hidden_is_no_crash",
    InColour: "grey_pictures_are_taken_or_refused",
    NeedsObserved: "pictures_without_observed_are_taken_or_refused",
    WritesIntoPictures: "pictures_and_values_are_not_written_to",
    WritesIntoValues: "pictures_and_values_are_not_written_to",
    Remembers: "the_same_pictures_give_the_same_figures",
    DrawsGlobally: "global_random_states_are_left_alone",
}
