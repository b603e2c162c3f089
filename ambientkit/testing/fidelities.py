"""The contract of terms that tie the generator to what was measured: `check_fidelity`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from ambientkit.interfaces import Terms
from ambientkit.testing.contract import (
    Checks,
    Finding,
    Waits,
    Waivers,
    not_applicable,
    require,
)
from ambientkit.testing.measurement_case import fixed_global_states
from ambientkit.testing.pretended import device_complaint, pretended_gpu
from ambientkit.testing.trips import Kind, ToyGenerator, Trip, make_trip
from ambientkit.testing.watching import (
    gradient_by,
    mapped,
    require_finite,
    require_only_torch_is_random,
    require_scalars,
    require_term_names,
    require_unwritten,
    require_works_or_refuses,
    terms_of,
    works_first,
)

COUNT = 4
SUMMED = 1.5
"""A term grows less than so many times when the batch is doubled, else it is a sum."""


@dataclass
class FidelityCase:
    """A fidelity under test, with round trips of a toy generator."""

    fidelity: Any

    def terms(self, trip: Trip) -> Terms:
        """The terms of a round trip; leaves the check where there are none."""
        with fixed_global_states():
            return works_first("`terms`", lambda: self.raw_terms(trip))

    def sound_terms(self, trip: Trip) -> Terms:
        """The same; leaves the check where those of an ordinary trip are not even finite."""
        if not all(bool(torch.isfinite(value).all()) for value in self.terms(make_trip(COUNT)).values()):
            raise Waits("terms of an ordinary round trip have to be finite first")
        return self.terms(trip)

    def raw_terms(self, trip: Trip) -> Terms:
        """The same; whatever it raises comes through."""
        return terms_of(self.fidelity.terms(trip.record, trip.restore, trip.measure), "`terms`")


FIDELITY_CHECKS: Checks[FidelityCase] = Checks()


def check_fidelity(fidelity: Any, *, name: str | None = None, waived: Waivers | None = None) -> list[Finding]:
    """Hold a fidelity to its contract, on round trips of pictures with a block hidden, and one held out.

    `name` stands in the message (default: the class's); `waived` maps a check's name to why its failure
    is accepted. Returns what every check found. Raises ContractError with all that fail.
    """
    return FIDELITY_CHECKS.require(name or type(fidelity).__name__, FidelityCase(fidelity), waived)


@FIDELITY_CHECKS.add
def a_round_trip_gets_terms(case: FidelityCase) -> None:
    """`terms` returns named terms of an ordinary round trip."""
    with fixed_global_states():
        case.raw_terms(make_trip(COUNT))


@FIDELITY_CHECKS.add
def fidelity_terms_have_short_names(case: FidelityCase) -> None:
    """Names are words, which logs show after the fidelity's."""
    require_term_names(case.terms(make_trip(COUNT)), "`terms`")


@FIDELITY_CHECKS.add
def fidelity_terms_are_scalars(case: FidelityCase) -> None:
    """Terms are 0-d tensors."""
    require_scalars(case.terms(make_trip(COUNT)), "`terms`")


@FIDELITY_CHECKS.add
def fidelity_terms_are_finite(case: FidelityCase) -> None:
    """Terms of an ordinary round trip are finite."""
    require_finite(
        case.terms(make_trip(COUNT)), "for an ordinary round trip", "look for log, sqrt or division"
    )


@FIDELITY_CHECKS.add
def gradient_reaches_the_generator(case: FidelityCase) -> None:
    """Terms have a gradient by the generator's weights, through `made`, `completed` or `restore`."""
    network = ToyGenerator()
    gradient = gradient_by(case.sound_terms(make_trip(COUNT, network)), network.weight)
    require(
        gradient is not None and bool(gradient != 0) and bool(torch.isfinite(gradient)),
        f"the gradient by the generator's weights is {None if gradient is None else gradient.tolist()}",
        "compute terms from `trip.made`, `trip.completed` or restore(...), without .detach()",
    )


@FIDELITY_CHECKS.add
def nothing_to_compare_gives_finite_terms(case: FidelityCase) -> None:
    """Where nothing is held out, or nothing is observed at all, terms and gradients are finite."""
    remedy = "divide by `count.clamp(min=1)`, so that no pixel gives 0 and not 0 / 0"
    kinds: dict[Kind, str] = {
        "none held out": "nothing is held out",
        "none observed": "nothing is observed",
    }
    for kind, what in kinds.items():
        network = ToyGenerator()
        terms = case.sound_terms(make_trip(COUNT, network, kind=kind))
        require_finite(terms, f"where {what}", remedy)
        gradient = gradient_by(terms, network.weight)
        fine = gradient is None or bool(torch.isfinite(gradient))
        require(fine, f"where {what} the gradient is not finite", remedy)


@FIDELITY_CHECKS.add
def hidden_pixels_are_not_used(case: FidelityCase) -> None:
    """What y holds where nothing was observed has no influence, be it NaN."""
    remedy = "select with torch.where(observed, ..., 0.0) before and after the cost; 0 * NaN is NaN"
    network = ToyGenerator()
    wanted = case.sound_terms(make_trip(COUNT))
    terms = case.terms(make_trip(COUNT, network, kind="poisoned"))
    for name, value in terms.items():
        a, b = float(wanted[name].detach().mean()), float(value.detach().mean())
        message = f"with NaN in the hidden pixels of `y` the term {name!r} is {b:.4g} instead of {a:.4g}"
        require(abs(a - b) <= 1e-5 * max(1.0, abs(a)), message, remedy)
    gradient = gradient_by(terms, network.weight)
    fine = gradient is None or bool(torch.isfinite(gradient))
    require(fine, "with NaN in the hidden pixels of `y` the gradient is not finite", remedy)


@FIDELITY_CHECKS.add
def fidelity_terms_are_means(case: FidelityCase) -> None:
    """Neither a batch that holds every picture twice, nor pictures laid out four times, scale the terms."""
    once = case.sound_terms(make_trip(COUNT))
    kinds: dict[Kind, str] = {
        "twice": "a batch with each picture twice",
        "tiled": "pictures of four times the size",
    }
    for kind, what in kinds.items():
        for name, value in case.terms(make_trip(COUNT, kind=kind)).items():
            a, b = abs(float(once[name].detach().mean())), abs(float(value.detach().mean()))
            require(
                b <= SUMMED * a + 1e-4,
                f"{what} make the term {name!r} {b:.4g} instead of {a:.4g}",
                "take the mean over pictures and pixels, not the sum: weights then mean the same anywhere",
            )


@FIDELITY_CHECKS.add
def the_round_trip_is_not_written_to(case: FidelityCase) -> None:
    """The discriminator's and other fidelities' terms come from the same tensors."""
    trip = make_trip(COUNT)
    require_unwritten(trip.record, lambda: case.terms(trip))


@FIDELITY_CHECKS.add
def fidelity_randomness_is_torchs_alone(case: FidelityCase) -> None:
    """What is drawn comes from the generator that the engine sets."""
    case.terms(make_trip(COUNT))  # leaves the check where there are none
    require_only_torch_is_random(lambda: case.raw_terms(make_trip(COUNT)))


@FIDELITY_CHECKS.add
def fidelity_terms_are_made_on_the_device_of_the_trip(case: FidelityCase) -> None:
    """Terms of CUDA tensors, and their gradients, need none on the CPU; tried with tensors that hold nothing.

    A fidelity that has to look at values (`.item()`, NumPy) cannot be tried so, and passes.
    """
    trip = make_trip(COUNT)
    case.terms(trip)  # leaves the check where there are none
    record = mapped(trip.record, lambda tensor: tensor.detach().requires_grad_(tensor.requires_grad))
    with pretended_gpu(gradients=True) as to_gpu:
        there = replace(trip, record=mapped(record, to_gpu), latent=to_gpu(trip.latent))
        complaint = device_complaint(lambda: case.raw_terms(there))
    remedy = "make tensors with device=trip.real.y.device, and bring what the fidelity keeps there"
    require(not complaint, f"`terms`, given tensors on a GPU, {complaint}", remedy)


@FIDELITY_CHECKS.add
def restore_and_measure_get_what_they_take(case: FidelityCase) -> None:
    """`restore` is given a Measured like the trip's, `measure` pictures and a theta."""
    trip = make_trip(COUNT)
    case.terms(trip)
    if not trip.calls:
        not_applicable("it calls neither")
    wrong = [complaint for complaint in trip.calls if complaint]
    require(
        not wrong,
        "; ".join(dict.fromkeys(wrong)),
        "call restore(Measured(y, observed, known)) and measure(images, trip.theta_fresh)",
    )


@FIDELITY_CHECKS.add
def a_sensor_that_does_not_say_what_it_saw_is_refused_by_name(case: FidelityCase) -> None:
    """Without `observed` it works, or raises a PluginError."""
    case.terms(make_trip(COUNT))
    trip = make_trip(COUNT, kind="unsaid")
    with fixed_global_states():
        require_works_or_refuses("a round trip without `observed`", lambda: case.raw_terms(trip))
