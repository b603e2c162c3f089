"""What the checks of several contracts watch: arguments, global random states, refusals, named terms."""

from __future__ import annotations

import pickle
import random
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from ambientkit.errors import FAILURES, InputError, PluginError
from ambientkit.testing.contract import BrokenPromiseError, NotApplicable, Waits, raised, require
from ambientkit.testing.measurement_case import described, fixed_global_states, same

T = TypeVar("T")


def works_first(what: str, call: Callable[[], T]) -> T:
    """What `call` returns; where it raises, the check waits: another check says what is wrong."""
    try:
        return call()
    except FAILURES as error:  # a component under test may raise anything
        raise Waits(f"{what} has to work first: {type(error).__name__}: {error}") from error


@contextmanager
def advised(remedy: str) -> Iterator[None]:
    """Whatever the component raises here is a broken promise, with what to do about it."""
    try:
        yield
    except (BrokenPromiseError, NotApplicable):
        raise
    except FAILURES as error:  # a component under test may raise anything
        raise BrokenPromiseError(f"{raised(error)}; {remedy}") from error


# Records ----------------------------------------------------------------------------------------


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """`value` with every tensor in it changed; it may be a record, a mapping or a tuple of such."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, Mapping):
        return {name: mapped(part, change) for name, part in value.items()}
    if isinstance(value, tuple):
        return tuple(mapped(part, change) for part in value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(
            value, **{each.name: mapped(getattr(value, each.name), change) for each in fields(value)}
        )
    return value


def row(value: Any, index: int) -> Any:
    """The part of a record, a mapping or a tuple that is about one picture, as a batch of one."""
    return mapped(value, lambda tensor: tensor[index : index + 1])


def named_tensors(value: Any, name: str = "") -> dict[str, Tensor]:
    """Every tensor in a record, mapping or tuple, by a dotted name."""
    if isinstance(value, Tensor):
        return {name: value}
    parts: Mapping[str, Any] = {}
    if isinstance(value, Mapping):
        parts = value
    elif isinstance(value, tuple):
        parts = {str(index): part for index, part in enumerate(value)}
    elif is_dataclass(value) and not isinstance(value, type):
        parts = {each.name: getattr(value, each.name) for each in fields(value)}
    found: dict[str, Tensor] = {}
    for key, part in parts.items():
        found |= named_tensors(part, f"{name}.{key}".strip("."))
    return found


# Promises ---------------------------------------------------------------------------------------


def require_unwritten(given: Any, call: Callable[[], object]) -> None:
    """Nothing in `given` is written to, and no tensor in it starts to ask for a gradient."""
    before = {
        name: (tensor.detach().clone(), tensor.requires_grad) for name, tensor in named_tensors(given).items()
    }
    call()
    after = named_tensors(given)
    written = [name for name, (value, _) in before.items() if not same(after[name].detach(), value)]
    require(
        not written,
        f"it wrote into {' and '.join(f'`{name}`' for name in written)}",
        "make a new tensor (`x = x * 2`, not `x *= 2` or `x.mul_(2)`): others use the same one after you",
    )
    asking = [name for name, (_, asked) in before.items() if after[name].requires_grad != asked]
    require(
        not asking,
        f"it set requires_grad of {' and '.join(f'`{name}`' for name in asking)}",
        "ask for a gradient on a tensor of your own: `x = x.detach().requires_grad_()`",
    )


def require_random_states_kept(call: Callable[[], object], remedy: str) -> None:
    """`call` neither draws from nor seeds the global generators of torch, NumPy and Python."""
    with fixed_global_states():
        before = _random_states()
        call()
        changed = [name for name, state in _random_states().items() if state != before[name]]
    require(not changed, f"it changed the global random state of {' and '.join(changed)}", remedy)


def require_only_torch_is_random(call: Callable[[], Mapping[str, Tensor]]) -> None:
    """What is random in `call` comes from torch's global generator, which is not seeded anew."""
    results, states = [], []
    for seed in (1, 1, 2):
        with fixed_global_states():
            torch.default_generator.manual_seed(seed)
            others = {name: state for name, state in _random_states().items() if name != "torch"}
            results.append({name: value.detach() for name, value in call().items()})
            changed = [name for name, state in others.items() if _random_states()[name] != state]
            states.append(_random_states()["torch"])
        require(
            not changed,
            f"it drew from the global generator of {' and '.join(changed)}",
            "draw with torch: only its global generator is set from the run's seed during an update",
        )
    require(
        all(same(value, results[1][name]) for name, value in results[0].items()),
        "with torch's global generator in the same state it gave different terms",
        "draw with torch's global generator alone, which the engine sets for each update",
    )
    require(
        states[0] != states[2],
        "it set the seed of torch's global generator, so every update would draw the same",
        "leave out torch.manual_seed",
    )


def _random_states() -> dict[str, bytes]:
    return {
        "torch": torch.random.get_rng_state().numpy().tobytes(),
        "NumPy": pickle.dumps(np.random.get_state()),
        "Python": pickle.dumps(random.getstate()),
    }


def require_works_or_refuses(
    what: str, call: Callable[[], object], refusal: type[InputError] = PluginError
) -> None:
    """`call` either works or raises `refusal`, which tells the user what to do."""
    try:
        call()
    except refusal:
        return
    except FAILURES as error:
        name = refusal.__name__
        raise BrokenPromiseError(
            f"given {what}, {raised(error)}; do without, or raise ambientkit.errors.{name} that says "
            "what does not fit and what to set in the recipe"
        ) from error


# Terms ------------------------------------------------------------------------------------------


def require_term_names(terms: Mapping[str, Tensor], of: str) -> None:
    """Names are words that can stand after `player/`."""
    wrong = [name for name in terms if not isinstance(name, str) or not name.strip() or "/" in name]
    require(
        not wrong,
        f"{of} names a term {wrong[0]!r}" if wrong else "",
        "give each term a short name without `/`: logs show it as `player/name`",
    )


def require_scalars(terms: Mapping[str, Tensor], of: str) -> None:
    """Terms are 0-d tensors of floating point."""
    for name, value in terms.items():
        fine = isinstance(value, Tensor) and value.dim() == 0 and value.is_floating_point()
        require(
            fine,
            f"the term {name!r} of {of} is {described(value)}, not a 0-d tensor of floating point",
            "take the mean over the batch, and keep it a tensor (no .item(), no float())",
        )


def require_finite(terms: Mapping[str, Tensor], when: str, remedy: str) -> None:
    """Terms are finite."""
    for name, value in terms.items():
        require(bool(torch.isfinite(value).all()), f"the term {name!r} is {value.tolist()} {when}", remedy)


def total(terms: Mapping[str, Tensor]) -> Tensor:
    """The sum of all terms, which a player minimises."""
    return torch.stack([value.float().mean() for value in terms.values()]).sum()


def terms_of(answer: object, of: str) -> dict[str, Tensor]:
    """The terms that a method returned, which must be some. Raises BrokenPromiseError."""
    remedy = 'return a dict of named 0-d tensors, such as {"adversarial": loss}'
    require(isinstance(answer, Mapping), f"{of} returned {described(answer)}", remedy)
    terms = dict(answer) if isinstance(answer, Mapping) else {}
    require(terms, f"{of} returned no term", remedy)
    strange = [name for name, value in terms.items() if not isinstance(value, Tensor)]
    require(not strange, f"the term {strange[0]!r} of {of} is no tensor" if strange else "", remedy)
    return terms


def gradient_by(terms: Mapping[str, Tensor], by: Tensor) -> Tensor | None:
    """The gradient of the summed terms by a tensor, None where there is no way to it."""
    summed = total(terms)
    return torch.autograd.grad(summed, by, allow_unused=True)[0] if summed.requires_grad else None
