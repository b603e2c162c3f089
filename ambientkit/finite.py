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
    """

    deferred: bool = False
    _bad: dict[str, Tensor] = field(default_factory=dict)

    def look(self, what: str, value: Tensor) -> None:
        """Note whether a 0-d tensor is finite. Raises NonFiniteError, unless that is deferred."""
        if not self.deferred:
            if not torch.isfinite(value):
                raise NonFiniteError(f"{what} became {value.item()}")
            return
        bad = ~torch.isfinite(value.detach())
        self._bad[what] = self._bad[what] | bad if what in self._bad else bad

    def settle(self) -> None:
        """Raise the NonFiniteError of whatever was not finite since the last time."""
        if not self._bad:
            return
        names, flags = list(self._bad), torch.stack(list(self._bad.values())).tolist()
        self._bad.clear()
        bad = [name for name, flag in zip(names, flags, strict=True) if flag]
        if bad:
            raise NonFiniteError(f"{', '.join(bad)}: no finite number since it was last looked at")
