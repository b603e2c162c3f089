"""Names that the command line needs before anything else: the categories, and the nearest of known words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

CATEGORIES = (
    "dataset",
    "measurement",
    "generator",
    "discriminator",
    "objective",
    "fidelity",
    "metric",
    "callback",
)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?` for the nearest known word, or "" when none is near."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"did you mean {near[0]!r}?" if near else ""
