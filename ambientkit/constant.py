"""Numbers that a component keeps, on whatever devices it works."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Constant:
    """A table of numbers that is sent to a device once, not at every step.

    `images.new_tensor(numbers)` copies them anew each time, and makes the host wait for a GPU. Single numbers
    need neither: `torch.where(seen, images, 0.5)` takes them as they are.

    A tensor keeps its type until `like` asks for another. What was sent stays where it is: a component may
    work on several devices in turn, or at once, and a recorded update reads it at its place.
    """

    def __init__(self, numbers: Any) -> None:
        kept = None if isinstance(numbers, Tensor) else torch.float64
        with torch.inference_mode(False):
            self._numbers = torch.as_tensor(numbers, dtype=kept, device="cpu").detach().clone()
        self._sent: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what was sent: a copy may be read where there is no such device."""
        return {**self.__dict__, "_sent": {}}

    def __len__(self) -> int:
        return len(self._numbers)

    @property
    def shape(self) -> torch.Size:
        """Of the table."""
        return self._numbers.shape

    def like(self, tensor: Tensor) -> Tensor:
        """The numbers on the device of `tensor`, in its type. Not to be written to."""
        return self.on(tensor.device, tensor.dtype)

    def on(self, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
        """The numbers on a device; in their own type, unless another is given. Not to be written to."""
        where = (device, dtype or self._numbers.dtype)
        if where not in self._sent:
            with torch.inference_mode(False):  # what is kept may serve where gradients are taken
                sent = self._numbers.to(*where)
            if type(sent) is not Tensor:  # a stand-in for a trial, which holds nothing
                return sent
            self._sent[where] = sent
        return self._sent[where]
