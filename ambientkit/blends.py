"""The names of the ways to blend; imports no torch. What they do is in `blending`."""

from __future__ import annotations

from typing import Literal, TypeAlias, get_args

from ambientkit.errors import InputError

Blend: TypeAlias = Literal["none", "feather", "poisson", "telea+poisson"]
BLENDS: tuple[Blend, ...] = get_args(Blend)


def require_blend(blend: str) -> None:
    """Raises InputError where there is no such way."""
    if blend not in BLENDS:
        raise InputError(f"blend {blend!r} is not known; use one of {', '.join(BLENDS)}")
