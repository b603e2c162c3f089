"""Which figures an evaluation has: those asked for, or all built-in ones that can be taken of a run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ambientkit.errors import InputError, PluginError
from ambientkit.interfaces import Context, Metric
from ambientkit.names import did_you_mean
from ambientkit.recipe import Choice, Plan
from ambientkit.recipe_check import PluginSource, choose

ONLY_WHEN_ASKED = frozenset({"fid", "remeasured_fid"})  # of few pictures they mislead


@dataclass(frozen=True)
class Chosen:
    """Metrics by name, and why others were left out."""

    metrics: dict[str, Metric]
    left_out: dict[str, str]


def choose_metrics(
    plan: Plan, plugins: PluginSource, names: Sequence[str] | None, context: Context
) -> Chosen:
    """The recipe's own metrics and every built-in one that fits; or those of `names` alone.

    Raises InputError where one of `names` is not known, or cannot be taken of this run.
    """
    metrics: dict[str, Metric] = {}
    left_out: dict[str, str] = {}
    for choice in _named(plan, plugins, names) if names else _standard(plan, plugins):
        name = choice.registered.name
        try:
            reason = unfit(plan, choice.facts() or frozenset())
            if not reason:
                metrics[name] = choice.build(context)
        except PluginError as error:
            reason = str(error)
        if reason and names:
            raise InputError(f"metric {name!r}: {reason}")
        if reason:
            left_out[name] = reason
    return Chosen(metrics, left_out)


def _named(plan: Plan, plugins: PluginSource, names: Sequence[str]) -> Iterator[Choice]:
    for name in dict.fromkeys(names):
        registered = plugins.registry.find("metric", name)
        if registered is None:
            raise InputError(f"there is no metric {name!r}; {_nearest(name, plugins)}")
        yield _of_recipe(plan, name) or choose(registered, {}, plugins)


def _nearest(name: str, plugins: PluginSource) -> str:
    known = plugins.registry.names("metric")
    holding = [each for each in known if name in each]
    return did_you_mean(name, known) or (
        f"there are {', '.join(holding)}" if holding else "see: ambientkit plugins"
    )


def _standard(plan: Plan, plugins: PluginSource) -> Iterator[Choice]:
    for entry in plugins.registry:
        own = _of_recipe(plan, entry.name) if entry.category == "metric" else None
        if own is not None:
            yield own
        elif entry.category == "metric" and "/" not in entry.name and entry.name not in ONLY_WHEN_ASKED:
            yield choose(entry, {}, plugins)


def _of_recipe(plan: Plan, name: str) -> Choice | None:
    """The recipe's own choice of a metric, with its options."""
    return next((choice for choice in plan.metrics if choice.registered.name == name), None)


def unfit(plan: Plan, facts: frozenset[str]) -> str:
    """Why a metric with these facts cannot be taken of a run; "" where it can."""
    has = plan.facts.__contains__
    arrived = has("dataset:measured")
    sensor = "evaluation" if plan.evaluation else "measurement"
    role = "dataset" if arrived else sensor
    wants = {
        "the generator completes nothing": facts & {"truth", "observed", "fills"}
        and not has("generator:completes"),
        "there are no clean pictures": facts & {"truth", "clean"} and arrived,
        "the sensor does not say which pixels it hides": "observed" in facts and not has(f"{role}:observed"),
        "the generator takes no latent, so it makes one fill a picture": "fills" in facts
        and not has("generator:latent"),
        "measurements are no pictures": "remeasured" in facts and has(f"{sensor}:reshapes"),
    }
    return next((reason for reason, holds in wants.items() if holds), "")
