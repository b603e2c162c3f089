"""What may be asked of an evaluation; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, get_args

from ambientkit.errors import InputError

Blend: TypeAlias = Literal["none", "feather", "poisson", "telea+poisson"]
BLENDS: tuple[Blend, ...] = get_args(Blend)


@dataclass(frozen=True)
class Wishes:
    """What is asked of an evaluation; `bootstrap` is how often pictures are drawn anew."""

    baselines: bool = False
    blend: Blend = "none"
    fills: int = 8
    bootstrap: int = 1000

    def __post_init__(self) -> None:
        if self.blend not in BLENDS:
            raise InputError(f"blend {self.blend!r} is not known; use one of {', '.join(BLENDS)}")
        if self.fills < 2:
            raise InputError(f"cannot compare {self.fills} fills of a picture; ask for 2 or more")
        if self.bootstrap < 0:
            raise InputError(f"cannot draw the pictures anew {self.bootstrap} times; ask for 0 or more")
