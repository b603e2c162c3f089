"""Numbers that a component keeps, on whatever device it works."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Constant:
    """A table of numbers that is sent to a device once, not at every step.

    `images.new_tensor(numbers)` copies them anew each time, and makes the host wait for a GPU. Single numbers
    need neither: `torch.where(seen, images, 0.5)` takes them as they are.
    """

    def __init__(self, numbers: Any) -> None:
        with torch.inference_mode(False):
            self._numbers = torch.tensor(numbers, dtype=torch.float64, device="cpu")
        self._sent: dict[tuple[torch.device, torch.dtype], Tensor] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Without what was sent: a copy may be read where there is no such device."""
        return {**self.__dict__, "_sent": {}}

    def like(self, tensor: Tensor) -> Tensor:
        """The numbers on the device of `tensor`, in its type. Not to be written to."""
        where = (tensor.device, tensor.dtype)
        if where not in self._sent:
            with torch.inference_mode(False):  # what is kept may serve where gradients are taken
                sent = self._numbers.to(tensor.device, tensor.dtype)
            if type(sent) is not Tensor:  # a stand-in for a trial, which holds nothing
                return sent
            self._sent[where] = sent
        return self._sent[where]
