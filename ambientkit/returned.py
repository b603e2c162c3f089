"""What networks, losses and metrics return, looked at where it is used: whose fault it is, and a remedy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ambientkit.errors import PluginError, RunError
from ambientkit.interfaces import Evaluated, Metric, Objective, Shape, Terms

Path: TypeAlias = tuple[object, ...]
"""The names of fields and keys on the way to a tensor."""
MEMBERS = {"generator": ("completes", "multiple", "latent_shape"), "discriminator": ()}


def require_network(name: str, category: str, network: object) -> None:
    """It can be trained, and has what the engine asks of it. Raises PluginError."""
    if not isinstance(network, nn.Module):
        raise PluginError(f"{name}: `build` returned {described(network)}; return a torch.nn.Module")
    if not any(weight.requires_grad for weight in network.parameters()):
        raise PluginError(f"{name}: it has no weights to train; make its layers in __init__")
    lacking = [member for member in MEMBERS[category] if not hasattr(network, member)]
    if lacking:
        raise PluginError(f"{name}: it has no `{lacking[0]}`; write it, or inherit ambientkit.Generator")
    if category == "generator" and not callable(network.latent_shape):
        raise PluginError(f"{name}: `latent_shape` is no method; write latent_shape(self, image_shape)")


def require_latent(network: nn.Module, image_shape: Shape) -> None:
    """The latent's shape is one. Raises PluginError."""
    shape = network.latent_shape(image_shape)  # type: ignore[operator]
    if shape is not None and not (isinstance(shape, tuple) and all(isinstance(side, int) for side in shape)):
        raise PluginError(
            f"{type(network).__name__}: `latent_shape` returned {shape!r}; return a tuple of ints, or None"
        )


def require_objective(objective: Objective) -> None:
    """Its penalties are due at whole intervals. Raises PluginError."""
    every = getattr(objective, "penalty_every", 1)
    if not isinstance(every, int) or every < 1:
        raise PluginError(f"{type(objective).__name__}: `penalty_every` is {every!r}; make it 1 or more")


def terms_of(method: Callable[..., Terms], *arguments: Any) -> Terms:
    """The terms of an objective or a fidelity. Raises RunError where they are no dict of 0-d tensors."""
    terms = _left_alone(method, *arguments)
    remedy = 'return a dict of named 0-d tensors, such as {"adversarial": loss.mean()}'
    if not isinstance(terms, Mapping):
        raise fault(method, f"it returned {described(terms)}", remedy)
    for name, value in terms.items():
        if not isinstance(value, Tensor) or value.dim() or not value.is_floating_point():
            raise fault(method, f"its term {name!r} is {described(value)}", remedy)
    return dict(terms)


def total_of(terms: Terms, network: nn.Module) -> Tensor:
    """Their sum. Raises RunError where it teaches the network nothing."""
    owner, names = type(network).__name__, ", ".join(terms)
    if not terms:
        raise RunError(f"no term tells {owner} what to learn: its objective returned none; return one")
    total = torch.stack(list(terms.values())).sum()
    if not total.requires_grad:
        raise RunError(
            f"the terms {names} have no gradient by the weights of {owner}; leave out .detach(), .item() and "
            "torch.no_grad() in the network and in what makes the terms (`ambientkit check-plugin` finds it)"
        )
    return total


def values_of(metric: Metric, evaluated: Evaluated) -> dict[str, Tensor]:
    """Values of each picture. Raises RunError where they are no dict of tensors with a row a picture."""
    values, pictures = _left_alone(metric.per_picture, evaluated), len(evaluated.completed)
    remedy = 'return a dict of tensors with a row a picture, such as {"error": (n,)}'
    if not isinstance(values, Mapping):
        raise fault(metric.per_picture, f"it returned {described(values)}", remedy)
    for name, value in values.items():
        if not isinstance(value, Tensor) or value.shape[:1] != (pictures,):
            what = f"its {name!r} is {described(value)} for {pictures} pictures"
            raise fault(metric.per_picture, what, remedy)
    return dict(values)


def summary_of(metric: Metric, values: Mapping[str, Tensor]) -> dict[str, float]:
    """Figures by name. Raises RunError where they are no plain numbers."""
    summary = _left_alone(metric.summary, values)
    remedy = "return a dict of Python floats: float(tensor)"
    if not isinstance(summary, Mapping):
        raise fault(metric.summary, f"it returned {described(summary)}", remedy)
    for name, value in summary.items():
        if not isinstance(value, float | int):
            raise fault(metric.summary, f"its figure {name!r} is {described(value)}", remedy)
    return dict(summary)


def score_of(metric: Metric, summary: Mapping[str, float]) -> float:
    """How good a summary is. Raises RunError where that is no number."""
    score = asked(metric.score, summary)
    if not isinstance(score, float | int):
        remedy = "return a float, higher is better; -inf for no figure"
        raise fault(metric.score, f"it returned {described(score)}", remedy)
    return float(score)


def asked(method: Callable[..., Any], *arguments: Any, kind: type[PluginError | RunError] = RunError) -> Any:
    """What the method returns. Raises `kind` where it does not take the arguments of its contract."""
    try:
        return method(*arguments)
    except TypeError as error:
        if error.__traceback__ is None or error.__traceback__.tb_next is not None:
            raise
        raise fault(method, str(error), "give it the arguments of its contract", kind) from error


def _left_alone(method: Callable[..., Any], *arguments: Any) -> Any:
    """What the method returns. Raises RunError where it wrote into a tensor: others get the same ones."""
    tensors: list[tuple[Path, Tensor]] = []
    for given in arguments:
        _add_tensors(given, (), tensors)
    before = [value._version for _, value in tensors]  # what torch counts: no copy, and no GPU that waits
    result = asked(method, *arguments)
    for (path, value), version in zip(tensors, before, strict=True):
        if value._version != version:
            remedy = "make a new tensor: `x = x * 2`, not `x *= 2` or `x.mul_(2)`"
            raise fault(method, f"it wrote into `{'.'.join(map(str, path))}`", remedy)
    return result


def _add_tensors(given: Any, path: Path, found: list[tuple[Path, Tensor]]) -> None:
    """Add those of a record or a mapping, and of what lies therein; plain loops, for each step asks."""
    if given is None:
        return
    if isinstance(given, Tensor):
        if not given.is_inference():  # of which torch counts nothing
            found.append((path, given))
    elif names := _field_names(given.__class__):
        for name in names:
            _add_tensors(getattr(given, name), (*path, name), found)
    elif isinstance(given, Mapping):
        for name, value in given.items():
            _add_tensors(value, (*path, name), found)


@cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in fields(kind)) if is_dataclass(kind) else ()


def fault(
    method: Callable[..., Any], what: str, remedy: str, kind: type[PluginError | RunError] = RunError
) -> PluginError | RunError:
    """An error that names the method and its class."""
    owner, name = getattr(method, "__self__", None), getattr(method, "__name__", repr(method))
    place = name if owner is None else f"{type(owner).__name__}.{name}"
    return kind(f"{place}: {what}; {remedy}")


def described(value: object) -> str:
    """What a value is, for a message."""
    if isinstance(value, Tensor):
        return f"a tensor {tuple(value.shape)} of {value.dtype}"
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
