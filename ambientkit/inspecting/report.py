"""An inspection as plain data, for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from torch import Tensor

from ambientkit.inspecting.further import Further
from ambientkit.inspecting.inspection import Inspection
from ambientkit.inspecting.masks import Gap, Masks
from ambientkit.inspecting.verdicts import Evidence

FORMAT = 1


def plain(found: Inspection) -> dict[str, Any]:
    """Everything that was found but the samples themselves, as JSON has it; what there is not is null.

    Rates are shares of draws; maps are [channel][row][column]; places are [row, column], or
    [channel, row, column] where channels are hidden apart.
    """
    return {
        "inspection": FORMAT,
        **asdict(found.about),
        "observation": _observation(found.evidence) if found.evidence else None,
        "data_against_sensor": [_gap(gap) for gap in found.gaps],
        "further": _further(found.further) if found.further else None,
        "noise": asdict(found.noise) if found.noise else None,
        "warnings": list(found.warnings),
        "verdict": found.judgement.verdict,
        "reason": found.judgement.reason,
        "proven": found.judgement.proven,
    }


def _observation(evidence: Evidence) -> dict[str, Any]:
    masks = evidence.masks
    return {
        "among": evidence.among,
        "draws": masks.n,
        "observed_rate": summary(masks.rate),
        "share_hidden": summary(masks.hidden),
        "whole_seen": masks.whole,
        "never_observed": list(evidence.never),
        "pairs": asdict(evidence.pairs),
        "never_all_seen": asdict(evidence.certificate) if evidence.certificate else None,
        "observed_rate_map": _map(masks.rate),
    }


def _further(further: Further) -> dict[str, Any]:
    return {
        "sensor": further.sensor,
        "probability": further.probability,
        "share_hidden": summary(further.masks.hidden),
        "hides_known_pixel_rate": summary(further.rate),
        "hides_known": further.hides_known,
        "hides_known_beside_hole": further.beside_hole,
        "untaught": list(further.untaught),
        "against_sensor": [_gap(gap) for gap in further.gaps],
        "hides_known_pixel_rate_map": _map(further.rate),
    }


def _gap(gap: Gap) -> dict[str, Any]:
    return {**asdict(gap), "differs": gap.differs}


def summary(values: Tensor) -> dict[str, float | None]:
    """Least, median, mean and most of the values that are numbers; None where there are none."""
    numbers = values[~values.isnan()].double()
    if not numbers.numel():
        return dict.fromkeys(("min", "median", "mean", "max"))
    figures = numbers.min(), numbers.median(), numbers.mean(), numbers.max()
    return {
        name: float(figure) for name, figure in zip(("min", "median", "mean", "max"), figures, strict=True)
    }


def _map(values: Tensor) -> list[list[list[float | None]]]:
    return [
        [[None if math.isnan(value) else round(value, 6) for value in row] for row in channel]
        for channel in values.tolist()
    ]


def size_of_holes(masks: Masks) -> str:
    """Mean and largest of the longest hidden runs, as text."""
    across, down = masks.across.double(), masks.down.double()
    return (
        f"{across.mean():.1f} across (at most {int(across.max())}), "
        f"{down.mean():.1f} down (at most {int(down.max())})"
    )
