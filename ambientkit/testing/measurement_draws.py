"""Checks of a sensor's declarations and of `sample`: all randomness, from the generator alone."""

from __future__ import annotations

import math
import pickle
import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ambientkit.testing.contract import Checks, not_applicable, require
from ambientkit.testing.measurement_case import (
    MeasurementCase,
    difference,
    equal,
    fixed_global_states,
    tensors_complaint,
)

DECLARATION_CHECKS: Checks[MeasurementCase] = Checks()
DRAW_CHECKS: Checks[MeasurementCase] = Checks()

MANY = 64
"""Draws among which two must differ; 64 fair coins agree once in 10^19 times."""

_FLAGS = ("random", "exact", "pixelwise")
_GRADIENTS = ("exact", "surrogate", "none")


@DECLARATION_CHECKS.add
def declarations_have_values_that_exist(case: MeasurementCase) -> None:
    """Every declaration is one that the engine knows."""
    sensor = case.sensor
    for flag in _FLAGS:
        value = getattr(sensor, flag, None)
        require(
            isinstance(value, bool), f"`{flag}` is {value!r}, neither True nor False", f"set `{flag}` to one"
        )
    gradient, known = getattr(sensor, "gradient", None), ", ".join(map(repr, _GRADIENTS))
    require(gradient in _GRADIENTS, f"`gradient` is {gradient!r}", f"it is one of {known}")
    symmetric = getattr(sensor, "symmetric", None)
    fine = isinstance(symmetric, frozenset) and symmetric <= {"flip"}
    require(fine, f"`symmetric` is {symmetric!r}", 'write frozenset({"flip"}) or frozenset()')
    _require_fill(getattr(sensor, "fill", None))


def _require_fill(fill: object) -> None:
    number = isinstance(fill, (int, float)) and not isinstance(fill, bool) and math.isfinite(fill)
    require(
        fill is None or number,
        f"`fill` is {fill!r}",
        "it is the one finite value that hidden pixels hold, or None where they hold no constant",
    )


@DECLARATION_CHECKS.add
def a_gradient_that_is_not_exact_has_a_reason(case: MeasurementCase) -> None:
    """Where `gradient` is "surrogate" or "none", `gradient_reason` says why."""
    if case.sensor.gradient not in ("surrogate", "none"):
        not_applicable(f"`gradient` is {case.sensor.gradient!r}")
    reason = getattr(case.sensor, "gradient_reason", "")
    require(
        isinstance(reason, str) and reason.strip(),
        f"`gradient` is {case.sensor.gradient!r}, but `gradient_reason` is {reason!r}",
        "say in a sentence why there is no derivative and what stands in for it",
    )


@DECLARATION_CHECKS.add
def facts_say_what_the_sensor_declares(case: MeasurementCase) -> None:
    """`Options.facts()` agrees with the sensor that is built from the options."""
    if case.facts is None:
        not_applicable("no facts were given")
    facts = case.facts
    wrong = [
        f"{fact!r} is {'' if fact in facts else 'not '}in facts(), but the sensor says {truth}"
        for fact, truth in _facts(case).items()
        if (fact in facts) != truth
    ]
    require(
        not wrong,
        "; ".join(wrong),
        "recipes are checked by facts(), training goes by the sensor: correct one",
    )


def _facts(case: MeasurementCase) -> dict[str, bool]:
    sensor = case.sensor
    shape = tuple(sensor.measured_shape(case.image_shape))
    return {
        "exact": sensor.exact,
        "random": sensor.random,
        "pixelwise": sensor.pixelwise,
        "flip": "flip" in sensor.symmetric,
        "observed": case.seen(case.theta) is not None,
        "reshapes": len(shape) != 3 or shape[-2:] != tuple(case.image_shape[-2:]),
        "no_gradient": sensor.gradient == "none",
    }


@DRAW_CHECKS.add
def sample_returns_tensors_with_first_axis_n(case: MeasurementCase) -> None:
    """`sample` returns a dict of tensors, first axis n, on the generator's device, for any n."""
    for n in (1, 2, 5):
        generator = case.generator("first axis", n)
        with fixed_global_states():
            theta = case.sensor.sample(n, case.image_shape, generator)
        complaint = tensors_complaint(theta, n, generator.device)
        require(
            not complaint,
            f"sample(n={n}) does not return theta: {complaint}",
            "return a dict of tensors with one row a picture on generator.device, such as "
            '{"nothing": torch.empty(n, 0, device=generator.device)} where nothing is drawn',
        )


@DRAW_CHECKS.add
def the_same_generator_state_gives_the_same_theta(case: MeasurementCase) -> None:
    """Two generators in one state draw the same theta, bit for bit."""
    draws = [case.draw(MANY, "same state") for _ in range(2)]
    require(
        equal(*draws),
        "`sample` drew two different thetas from generators in the same state",
        "draw every number with `generator=generator`; no generator, counter or clock of the sensor's own",
    )


@DRAW_CHECKS.add
def theta_comes_from_the_generator(case: MeasurementCase) -> None:
    """Generators in other states draw another theta, and so does the same generator used again."""
    _require_random(case)
    generator = case.generator("used twice")
    once, again = (case.draw_from(MANY, generator) for _ in range(2))
    remedy = "draw with `generator=generator`, and never seed or restore it"
    require(
        not equal(once, again),
        f"`random` is declared, but two draws of {MANY} from one generator in a row gave the same theta",
        remedy,
    )
    other = case.draw(MANY, "another state")
    require(
        not equal(once, other),
        f"`random` is declared, but generators in different states gave the same theta ({MANY} pictures)",
        remedy,
    )


@DRAW_CHECKS.add
def theta_differs_within_a_batch(case: MeasurementCase) -> None:
    """If `random`, the pictures of a batch have different thetas; no part of it is drawn once for all."""
    _require_random(case)
    theta, other = (case.draw(MANY, "within a batch", number) for number in range(2))
    require(
        any(bool((value != value[:1]).any()) for value in theta.values()),
        f"`random` is declared, but all {MANY} pictures of a batch got the same theta",
        "draw n values, one a picture, not one for the batch; or declare `random = False`",
    )
    shared = [name for name in theta if _is_shared(theta[name], other[name])]
    require(
        not shared,
        f"all {MANY} pictures of a batch got the same {', '.join(shared)}, and those of the next one another",
        "draw n values, one a picture, not one for the batch",
    )


def _is_shared(one: Tensor, other: Tensor) -> bool:
    """Whether a value of theta differs between two batches, and in neither between two pictures."""
    if one.shape != other.shape:
        return False
    alike = (one == one[:1]).all(0) & (other == other[:1]).all(0)
    return bool((alike & (one[0] != other[0])).any())


@DRAW_CHECKS.add
def theta_of_a_random_sensor_matters(case: MeasurementCase) -> None:
    """If `random`, one picture under different thetas gives different measurements."""
    _require_random(case)
    require(
        _spread(case) > 0,
        f"`random` is declared, but one picture measured under {MANY} thetas gave {MANY} equal measurements",
        "use theta in `measure`, or declare `random = False`",
    )


@DRAW_CHECKS.add
def theta_of_a_sensor_that_is_not_random_does_not_matter(case: MeasurementCase) -> None:
    """If not `random`, one picture gives one measurement, whatever the draw."""
    if case.sensor.random:
        not_applicable("`random` is declared")
    spread = _spread(case)
    require(
        spread == 0,
        f"`random = False` is declared, but measurements of one picture differ by up to {spread:.3g} "
        f"between {MANY} thetas",
        "declare `random = True`",
    )


def _spread(case: MeasurementCase) -> float:
    """Largest difference between measurements of one picture under many thetas, of several draws."""
    one = case.images[:1].repeat(MANY // 4, 1, 1, 1)
    y = torch.cat([case.measure(one, case.draw(len(one), "does theta matter", i)) for i in range(4)])
    return difference(y, y[:1].expand_as(y))


@DRAW_CHECKS.add
def global_random_states_are_left_alone(case: MeasurementCase) -> None:
    """No method draws from or seeds the global generators of torch, NumPy or Python."""
    theta, sensor, shape = case.draw(case.count, "global states"), case.sensor, case.image_shape
    case.y  # noqa: B018 - leaves the check where nothing can be measured
    calls: dict[str, Callable[[], object]] = {
        "sample": lambda: sensor.sample(case.count, shape, case.generator("global states")),
        "measure": lambda: sensor.measure(case.images.clone(), theta),
        "observed": lambda: sensor.observed(theta, shape),
        "known": lambda: sensor.known(theta),
    }
    for method, call in calls.items():
        with fixed_global_states():
            before = _global_states()
            call()
            changed = [name for name, state in _global_states().items() if state != before[name]]
        require(
            not changed,
            f"`{method}` changed the global random state of {' and '.join(changed)}",
            "draw in `sample` alone, with `generator=generator`, and put noise into theta",
        )


def _global_states() -> dict[str, bytes]:
    states = {
        "torch": torch.random.get_rng_state().numpy(),
        "NumPy": np.random.get_state(),
        "Python": random.getstate(),
    }
    return {name: pickle.dumps(state) for name, state in states.items()}


def _require_random(case: MeasurementCase) -> None:
    if not case.sensor.random:
        not_applicable("`random = False` is declared")
