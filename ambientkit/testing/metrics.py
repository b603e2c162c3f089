"""The contract of figures on held-out pictures: `check_metric`."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from ambientkit.interfaces import Evaluated, Shape
from ambientkit.testing.contract import (
    Checks,
    Finding,
    Waits,
    Waivers,
    not_applicable,
    require,
)
from ambientkit.testing.measurement_case import described, fixed_global_states, same
from ambientkit.testing.networks import uniform
from ambientkit.testing.watching import (
    advised,
    mapped,
    require_random_states_kept,
    require_unwritten,
    require_works_or_refuses,
    row,
    works_first,
)

COUNT = 4
MARGIN = 8
"""Pixels known on every side of a hole: figures look at what is around it."""
GREY = (1, 28, 36)
"""Shape of other pictures."""
Values = dict[str, Tensor]


@dataclass
class MetricCase:
    """A metric under test, with held-out pictures (n, *image_shape) of which a block was hidden."""

    metric: Any
    image_shape: Shape = (3, 32, 32)

    @property
    def needs_truth(self) -> bool:
        """Whether the metric declares that it compares with clean pictures."""
        return bool(getattr(self.metric, "needs_truth", False))

    @cached_property
    def pictures(self) -> Evaluated:
        """Pictures whose holes were filled with noise."""
        return evaluated(self.image_shape, truth=True)

    def values(self, pictures: Evaluated) -> Values:
        """Values a picture; leaves the check where there are none."""
        with fixed_global_states():
            values = works_first("`per_picture`", lambda: self.raw_values(mapped(pictures, torch.clone)))
        if any(value.dim() < 1 or len(value) != len(pictures.made) for value in values.values()):
            raise Waits("`per_picture` has to give a value to each picture first")
        return values

    def raw_values(self, pictures: Evaluated) -> Values:
        """The same; whatever it raises comes through. Raises BrokenPromiseError where there are none."""
        answer: object = self.metric.per_picture(pictures)
        remedy = 'return a dict of tensors with a row a picture, such as {"error": (n,)}'
        require(isinstance(answer, Mapping), f"`per_picture` returned {described(answer)}", remedy)
        values = dict(answer) if isinstance(answer, Mapping) else {}
        require(values, "`per_picture` returned nothing", remedy)
        strange = [name for name, value in values.items() if not isinstance(value, Tensor)]
        require(not strange, f"{strange[0]!r} of `per_picture` is no tensor" if strange else "", remedy)
        return values

    def summary(self, pictures: Evaluated) -> dict[str, float]:
        """The summary of all pictures; leaves the check where there is none."""
        return self.summary_of(self.values(pictures))

    def summary_of(self, values: Values) -> dict[str, float]:
        """The summary of values; leaves the check where there is none."""
        with fixed_global_states():
            summary = works_first("`summary`", lambda: self.metric.summary(values))
        if not isinstance(summary, Mapping):
            raise Waits("`summary` has to return a dict first")
        return dict(summary)

    def score(self, pictures: Evaluated) -> float:
        """How good the summary of pictures is; leaves the check where that is no number."""
        summary = self.summary(pictures)
        score = works_first("`score`", lambda: self.metric.score(summary))
        if not isinstance(score, float | int) or math.isnan(score):
            raise Waits("`score` has to return a number first")
        return float(score)


def evaluated(shape: Shape, truth: bool) -> Evaluated:
    """Smooth pictures with a hidden block each, which noise stands for; measured again, and filled thrice."""
    channels, height, width = shape
    coarse = uniform(COUNT, (channels, max(2, height // 4), max(2, width // 4)), "metric")
    clean = functional.interpolate(coarse, (height, width), mode="bilinear", align_corners=True)
    observed = torch.ones(COUNT, 1, height, width, dtype=torch.bool)
    for index in range(COUNT):
        top = MARGIN + index
        observed[index, :, top : top + height - 3 * MARGIN, MARGIN : width - MARGIN - index] = False
    made = uniform(COUNT, shape, "made")
    completed = torch.where(observed, clean, made)
    fills = [torch.where(observed, clean, uniform(COUNT, shape, "fill", str(each))) for each in range(3)]
    return Evaluated(
        y=torch.where(observed, clean, 0.0),
        observed=observed,
        made=made,
        completed=completed,
        truth=clean if truth else None,
        remeasured=torch.where(observed.flip(-1), completed, 0.0),
        fills=torch.stack(fills),
    )


METRIC_CHECKS: Checks[MetricCase] = Checks()


def check_metric(
    metric: Any, image_shape: Shape = (3, 32, 32), *, name: str | None = None, waived: Waivers | None = None
) -> list[Finding]:
    """Hold a metric to its contract on pictures of `image_shape` (C, H, W), sides of 32 or more.

    `name` stands in the message (default: the class's); `waived` maps a check's name to why its failure
    is accepted. Returns what every check found. Raises ContractError with all that fail.
    """
    return METRIC_CHECKS.require(name or type(metric).__name__, MetricCase(metric, image_shape), waived)


@METRIC_CHECKS.add
def every_picture_gets_values(case: MetricCase) -> None:
    """`per_picture` returns named tensors whose first axis is the batch."""
    with fixed_global_states():
        values = case.raw_values(case.pictures)
    for name, value in values.items():
        require(
            value.dim() >= 1 and len(value) == COUNT,
            f"{name!r} of `per_picture` is {described(value)} for {COUNT} pictures",
            "give a value to each picture: take means over all axes but the first",
        )


@METRIC_CHECKS.add
def the_summary_is_plain_numbers(case: MetricCase) -> None:
    """Named floats, finite for ordinary pictures, that can be written as JSON."""
    values = case.values(case.pictures)
    with fixed_global_states():
        summary = case.metric.summary(values)
    remedy = "return a dict of Python floats: float(tensor)"
    require(isinstance(summary, Mapping) and summary, f"`summary` returned {summary!r}", remedy)
    for name, value in summary.items():
        require(isinstance(name, str) and name, f"`summary` names a figure {name!r}", remedy)
        require(type(value) in (float, int), f"the figure {name!r} is {described(value)}", remedy)
        require(
            math.isfinite(value), f"the figure {name!r} of ordinary pictures is {value}", "see `per_picture`"
        )
    json.dumps(dict(summary))


@METRIC_CHECKS.add
def summaries_are_those_of_the_pictures_drawn(case: MetricCase) -> None:
    """`summaries` of drawn pictures, some of them twice, are what `summary` says of these pictures."""
    values = case.values(case.pictures)
    draws = [
        torch.arange(COUNT),
        torch.arange(COUNT).clamp(max=1),
        torch.zeros(COUNT).long(),
    ]
    with fixed_global_states():
        found = case.metric.summaries(values, draws)
        wanted = [
            case.metric.summary({name: value[draw] for name, value in values.items()}) for draw in draws
        ]
    alike = len(found) == len(wanted) and all(
        _same_figures(*pair) for pair in zip(found, wanted, strict=True)
    )
    require(
        alike,
        f"`summaries` says {found} of draws of which `summary` says {wanted}",
        "weigh each picture as often as it was drawn; or leave `summaries` to the base class",
    )


def _same_figures(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
    return one.keys() == other.keys() and all(
        math.isclose(one[name], other[name], rel_tol=1e-6, abs_tol=1e-6)
        or (math.isnan(one[name]) and math.isnan(other[name]))
        for name in one
    )


@METRIC_CHECKS.add
def the_score_is_a_number(case: MetricCase) -> None:
    """`score` gives one float that can be compared."""
    summary = case.summary(case.pictures)
    if not summary:
        not_applicable("`summary` gives no figure")
    score = case.metric.score(summary)
    fine = isinstance(score, float | int) and not math.isnan(score)
    require(fine, f"`score` returned {score!r}", "return a float, higher is better; -inf for no figure")


@METRIC_CHECKS.add
def better_pictures_score_higher(case: MetricCase) -> None:
    """The truth itself scores higher than noise."""
    if not case.needs_truth:
        not_applicable("it declares that it needs no truth")
    pictures = case.pictures
    assert pictures.truth is not None
    perfect = replace(pictures, made=pictures.truth, completed=pictures.truth)
    noise, truth = case.score(pictures), case.score(perfect)
    require(
        truth > noise,
        f"holes filled with the truth score {truth:.4g}, holes filled with noise {noise:.4g}",
        "higher must be better: of an error, return minus the error from `score`",
    )


@METRIC_CHECKS.add
def needs_truth_is_declared_honestly(case: MetricCase) -> None:
    """Without `needs_truth` it works where no clean picture exists; with it, the truth matters."""
    pictures = case.pictures
    values = case.values(pictures)
    if not case.needs_truth:
        with advised("declare needs_truth = True, or do without `truth`, which may be None"):
            case.raw_values(evaluated(case.image_shape, truth=False))
        return
    assert pictures.truth is not None
    other = case.values(replace(pictures, truth=-pictures.truth))
    require(
        any(not same(value, other[name]) for name, value in values.items() if name in other),
        "`needs_truth` is declared, but another truth gives the same values",
        "declare needs_truth = False, so that data without clean pictures have this figure too",
    )


def _alone(pictures: Evaluated, index: int) -> Evaluated:
    """One of them; of `fills` the pictures are the second axis."""
    fills = None if pictures.fills is None else pictures.fills[:, index : index + 1]
    return replace(row(replace(pictures, fills=None), index), fills=fills)  # type: ignore[no-any-return]


@METRIC_CHECKS.add
def batches_do_not_matter(case: MetricCase) -> None:
    """Pictures in one batch, or one by one, give the same summary."""
    values = case.values(case.pictures)
    whole = case.summary_of(values)
    rows = [case.values(_alone(case.pictures, index)) for index in range(COUNT)]
    joined = works_first(
        "values a picture", lambda: {name: torch.cat([one[name] for one in rows]) for name in values}
    )
    parts = case.summary_of(joined)
    require(whole.keys() == parts.keys(), f"figures {[*whole]} in one batch are {[*parts]} one by one")
    for name, value in whole.items():
        require(
            math.isclose(value, parts[name], rel_tol=1e-4, abs_tol=1e-6) or value == parts[name],
            f"{name!r} is {value:.6g} in one batch and {parts[name]:.6g} one by one",
            "compute what `per_picture` returns from each picture alone, and pool in `summary`",
        )


@METRIC_CHECKS.add
def nothing_hidden_is_no_crash(case: MetricCase) -> None:
    """A picture in which nothing is hidden has the value NaN where it has none; the others keep theirs."""
    values = case.values(case.pictures)
    observed = case.pictures.observed
    assert observed is not None
    whole = torch.ones_like(observed)
    remedy = "give NaN where a picture has no value, and return {} from `summary` where none has one"
    with advised(remedy):
        mixed = case.raw_values(replace(case.pictures, observed=torch.cat([whole[:1], observed[1:]])))
    for name, value in values.items():
        require(
            torch.allclose(mixed[name][1:], value[1:], rtol=1e-4, atol=1e-6, equal_nan=True),
            f"where nothing is hidden in one picture, {name!r} of the others changes",
            "compute each picture's value from it alone",
        )
    with advised(remedy):
        empty = case.metric.summary(case.raw_values(replace(case.pictures, observed=whole)))
        if empty:
            case.metric.score(empty)


@METRIC_CHECKS.add
def grey_pictures_are_taken_or_refused(case: MetricCase) -> None:
    """Pictures with one channel and other sides work, or are refused with a PluginError."""
    case.values(case.pictures)
    other = evaluated(GREY, truth=True)
    require_works_or_refuses(
        f"pictures of {GREY}", lambda: case.metric.summary(case.metric.per_picture(other))
    )


@METRIC_CHECKS.add
def pictures_without_observed_are_taken_or_refused(case: MetricCase) -> None:
    """A sensor may not say what it saw: the metric works without, or raises a PluginError."""
    case.values(case.pictures)
    unsaid = replace(case.pictures, observed=None)
    require_works_or_refuses(
        "pictures without `observed`", lambda: case.metric.summary(case.metric.per_picture(unsaid))
    )


@METRIC_CHECKS.add
def pictures_and_values_are_not_written_to(case: MetricCase) -> None:
    """The next metric gets the same pictures."""
    pictures = evaluated(case.image_shape, truth=True)
    case.values(case.pictures)
    require_unwritten(pictures, lambda: case.raw_values(pictures))
    values = case.values(evaluated(case.image_shape, truth=True))
    require_unwritten(values, lambda: case.summary_of(values))


@METRIC_CHECKS.add
def the_same_pictures_give_the_same_figures(case: MetricCase) -> None:
    """A metric is a function of the pictures."""
    once, again = (case.summary(evaluated(case.image_shape, truth=True)) for _ in range(2))
    require(
        once.keys() == again.keys() and all(_alike(value, again[name]) for name, value in once.items()),
        f"the same pictures gave {once}, then {again}",
        "keep nothing between calls, and draw nothing (or from a generator with a fixed seed)",
    )


def _alike(one: float, other: float) -> bool:
    return one == other or (math.isnan(one) and math.isnan(other))


@METRIC_CHECKS.add
def global_random_states_are_left_alone(case: MetricCase) -> None:
    """Evaluation must not change what training draws next."""
    case.summary(case.pictures)
    require_random_states_kept(
        lambda: case.metric.summary(case.metric.per_picture(case.pictures)),
        "draw from a torch.Generator of your own with a fixed seed, if you must draw",
    )
