"""What may be asked of an evaluation; imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from ambientkit.blends import Blend, require_blend
from ambientkit.errors import InputError


@dataclass(frozen=True)
class Wishes:
    """What is asked of an evaluation; `bootstrap` is how often pictures are drawn anew."""

    baselines: bool = False
    blend: Blend = "none"
    fills: int = 8
    bootstrap: int = 1000

    def __post_init__(self) -> None:
        require_blend(self.blend)
        if self.fills < 2:
            raise InputError(f"cannot compare {self.fills} fills of a picture; ask for 2 or more")
        if self.bootstrap < 0:
            raise InputError(f"cannot draw the pictures anew {self.bootstrap} times; ask for 0 or more")
