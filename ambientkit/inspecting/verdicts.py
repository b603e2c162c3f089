"""Whether measurements determine the law of the pictures, and why.

Of an exact sensor with masks, measurements tell the law of x restricted to each set of pixels that
some mask shows, and nothing else (theta is independent of x). Hence:

- if a mask shows the whole picture with a probability > 0, the law is determined: restrict to those;
- if no mask does, it is not: x with even parity over all pixels (each a bit) and x of independent
  bits agree on every smaller set of pixels. The fewest pixels that are never shown together say how
  far the determined marginals go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ambientkit.inspecting.masks import TOLD, Masks, Pairs, Place
from ambientkit.interfaces import Measurement
from ambientkit.registry import Verdict

EXAMPLES = 6
LARGEST = 256  # pixels of a set that is never seen together; a larger one explains nothing


@dataclass(frozen=True)
class Judgement:
    """A verdict and its reason; `proven`: it holds for certain, and not only as far as draws can tell."""

    verdict: Verdict
    reason: str
    proven: bool


@dataclass(frozen=True)
class Certificate:
    """Pixels that no mask shows together: not one of `draws` that took no part in finding them.

    Were they seen independently, `expected` of those draws would have shown them all.
    """

    places: tuple[Place, ...]
    draws: int
    expected: float


@dataclass(frozen=True)
class Evidence:
    """What the masks tell, `among` being what they are ("4096 draws").

    `never` are sites that no draw observed; they are told from chance where other sites are seen often.
    """

    masks: Masks
    pairs: Pairs
    among: str
    never: tuple[Place, ...]
    certificate: Certificate | None
    arrived: bool = False  # they are the masks with which the data came, whose law nobody knows

    @property
    def never_is_told(self) -> bool:
        """Whether a site of ordinary rate would have been observed by now."""
        seen = self.masks.seen[self.masks.seen > 0]
        return bool(self.never) and seen.numel() > 0 and float(seen.double().median()) >= TOLD


def judge(
    sensor: Measurement, claim: tuple[Verdict, str] | None, evidence: Evidence | None
) -> tuple[Judgement, str]:
    """The judgement, and a warning ("" where all is well): a claim is believed unless the masks refute it."""
    told = _UNTOLD if evidence is None else _by_masks(sensor, evidence)
    if claim is None:
        return told, ""
    if told.verdict != "unknown" and (told.verdict == "identified") != (claim[0] == "identified"):
        return (
            told,
            f"its options claim {claim[0]!r} ({claim[1]}), which its masks refute; correct one of them",
        )
    return Judgement(*claim, proven=True), ""


_UNTOLD = Judgement(
    "unknown",
    "the sensor does not say which pixels it observes, and nothing is proven of it "
    "(Options.identifiability returns None)",
    proven=False,
)


def _by_masks(sensor: Measurement, evidence: Evidence) -> Judgement:
    judgement = (
        _whole(sensor, evidence)
        or _pixels_never(evidence)
        or _pairs_never(evidence)
        or _set_never(sensor, evidence)
    )
    if judgement:
        return judgement
    often = f"no one of {evidence.among} shows the whole picture"
    unproven = "nothing is proven of this sensor (Options.identifiability returns None)"
    if evidence.arrived:
        unproven = "of the law of the data's own holes nothing else is known"
    return Judgement(
        "unknown",
        f"{often}, which may be chance: no pixels were found that are sure never to be seen together, and "
        + unproven,
        proven=False,
    )


def _whole(sensor: Measurement, evidence: Evidence) -> Judgement | None:
    """Restricted to the draws that show everything, y is x."""
    count = evidence.masks.whole
    if not count:
        return None
    if sensor.exact:
        reason = f"the whole picture is seen in {count} of {evidence.among}, and what is seen is exact"
        supposed = evidence.arrived and count < evidence.masks.n
        if supposed:
            reason += "; that holds as long as holes do not depend on what is in the pictures"
        return Judgement("identified", reason, proven=not supposed)
    return Judgement(
        "unknown",
        f"the whole picture is seen in {count} of {evidence.among}, but not exactly, and nothing is proven "
        "of how y depends on it (Options.identifiability returns None)",
        proven=False,
    )


def _pixels_never(evidence: Evidence) -> Judgement | None:
    if not evidence.masks.seen.any():
        return Judgement("not identified", f"nothing is ever observed in {evidence.among}", proven=False)
    if not evidence.never_is_told:
        return None
    count, of = len(evidence.never), evidence.masks.seen.numel()
    reason = f"{count} of {of} pixels are never observed in {evidence.among}: {named(evidence.never)}"
    return Judgement("not identified", reason, proven=False)


def _pairs_never(evidence: Evidence) -> Judgement | None:
    if not evidence.pairs.told:
        return None
    examples = "; ".join(f"{one} and {other}" for one, other in evidence.pairs.nearest)
    reason = (
        f"{evidence.pairs.told} pairs of pixels are never observed together in {evidence.among}, "
        f"the nearest of them {examples}"
    )
    return Judgement("not identified", reason, proven=False)


def _set_never(sensor: Measurement, evidence: Evidence) -> Judgement | None:
    """Bits there with even parity, and independent ones, then give the same measurements."""
    found = evidence.certificate
    if found is None:
        return None
    reason = (
        f"these {len(found.places)} pixels are never all seen at once: {named(found.places)} "
        f"(0 of {found.draws} draws; {found.expected:.0f} if they were independent). "
        "Bits of even parity there and independent bits give the same measurements"
    )
    if not sensor.exact:
        reason += ". At most lower-order marginals: what is seen is not exact, and nothing is proven of that"
    return Judgement("lower-order marginals only", reason, proven=False)


def named(places: Iterable[Place]) -> str:
    """Places as text; after a few, how many more."""
    listed = list(places)
    more = f" and {len(listed) - EXAMPLES} more" if len(listed) > EXAMPLES else ""
    return ", ".join(map(str, listed[:EXAMPLES])) + more


# Pixels that are never all seen -----------------------------------------------------------------


def find_certificate(masks: Masks, batches: Iterator[Tensor]) -> Certificate | None:
    """A small set of sites that no mask shows together, or None where none is found that can be trusted.

    It is fitted to the first batch (bool (n, sites), as `Masks.kept`) and tried on the next, whose
    failures join the first until one batch has none. A set fitted to draws always exists, so it
    counts only where draws that it was not fitted to would have refuted it.
    """
    rate = masks.rate.flatten()[masks.sites]
    pool = next(batches)
    chosen = hitting_set(pool)
    while chosen is not None and len(pool) * float(rate[chosen].prod()) >= TOLD:
        batch = next(batches, None)
        if batch is None:
            return None
        shown = batch[:, chosen].all(1)
        expected = len(batch) * float(rate[chosen].prod())
        if not bool(shown.any()):
            places = tuple(masks.place(int(site)) for site in masks.sites[chosen].sort().values)
            return Certificate(places, len(batch), expected) if expected >= TOLD else None
        pool = torch.cat([pool, batch[shown]])
        chosen = hitting_set(pool)
    return None  # no set is small enough to be told from chance


def hitting_set(kept: Tensor) -> Tensor | None:
    """Sites such that each of the masks, bool (n, sites), hides one of them; greedy, so not always fewest.

    None where a mask hides nothing or more than LARGEST sites are needed.
    """
    hidden = ~kept
    left = torch.ones(len(kept), dtype=torch.bool)
    counts = hidden.sum(0)
    chosen: list[int] = []
    while bool(left.any()):
        site = int(counts.argmax())
        if not counts[site] or len(chosen) == LARGEST:
            return None
        chosen.append(site)
        newly = left & hidden[:, site]
        counts = counts - hidden[newly].sum(0)
        left &= ~newly
    return _needed(hidden, chosen)


def _needed(hidden: Tensor, chosen: list[int]) -> Tensor:
    """Without those that later choices made superfluous."""
    times = hidden[:, chosen].sum(1)
    needed = []
    for site in chosen:
        without = times - hidden[:, site].long()
        if bool((without > 0).all()):
            times = without
        else:
            needed.append(site)
    return torch.tensor(needed)
