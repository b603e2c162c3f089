"""Whether the numbers of a run are finite, asked without making a GPU wait."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from ambientkit.errors import NonFiniteError


@dataclass
class FiniteWatch:
    """Looks at terms and gradients; what is not finite becomes a NonFiniteError that names it.

    On a CPU at once. `deferred`, on a GPU: reading a number there makes the host wait for all that was
    begun before it, so what was seen stays on the device until `settle`, which reads all of it in one go.
    `step` is the one that is looked at, counted from 1; `first_step` the one at fault, once it is told.
    """

    deferred: bool = False
    step: int = 0
    first_step: int | None = None
    _bad: dict[str, Tensor] = field(default_factory=dict)  # by what: the first step, 0 where there is none

    def look(self, what: str, value: Tensor) -> None:
        """Note whether a 0-d tensor is finite. Raises NonFiniteError, unless that is deferred."""
        if not self.deferred:
            if not torch.isfinite(value):
                self.first_step = self.step
                raise NonFiniteError(f"{what} became {value.item()}")
            return
        here = (~torch.isfinite(value.detach())).to(torch.int64) * self.step
        before = self._bad.get(what)
        self._bad[what] = here if before is None else torch.where(before > 0, before, here)

    def settle(self) -> None:
        """Raise the NonFiniteError of the first step at which something was not finite."""
        if not self._bad:
            return
        names, steps = list(self._bad), torch.stack(list(self._bad.values())).tolist()
        self._bad.clear()
        bad = {name: step for name, step in zip(names, steps, strict=True) if step}
        if bad:
            self.first_step = min(bad.values())
            first = [name for name, step in bad.items() if step == self.first_step]
            raise NonFiniteError(f"{', '.join(first)} became no finite number")
