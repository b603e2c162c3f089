"""A GPU that is not there: tensors with a shape and a device but no values, whose devices torch compares."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor

from ambientkit.testing.contract import place_of
from ambientkit.testing.measurement_case import fixed_global_states

MIXED = re.compile("same device|different devices")  # what torch says of them, and what 2.11 said


@contextmanager
def pretended_gpu(gradients: bool = False) -> Iterator[Callable[[Tensor], Tensor]]:
    """A function that takes a tensor (none that is computed from weights) to such a GPU, within the block.

    With `gradients`, autograd works there; torch's own for CUDA asks for a driver. That device is called
    "meta" then, of which torch.autocast knows nothing.
    """
    from torch._subclasses.fake_tensor import FakeTensorMode

    device = "meta" if gradients else "cuda"
    with fixed_global_states(), FakeTensorMode(allow_non_fake_inputs=True) as mode:

        def to_gpu(tensor: Tensor) -> Tensor:
            there = mode.from_tensor(tensor).detach().to(device)
            return there.requires_grad_(tensor.requires_grad)

        yield to_gpu


def device_complaint(call: Callable[[], object]) -> str:
    """What is wrong with the devices in a call that was given tensors on the pretended GPU, "" if nothing.

    A call that has to look at values (`.item()`, NumPy) cannot be tried so, and passes.
    """
    try:
        made = call()
    except Exception as error:
        if MIXED.search(str(error)):
            return f"mixes them with tensors on the CPU{place_of(error)}"
        return ""  # values were needed, which such tensors have not
    tensors = made.values() if isinstance(made, Mapping) else [made]
    here = any(isinstance(tensor, Tensor) and tensor.device.type == "cpu" for tensor in tensors)
    return "returns a tensor on the CPU" if here else ""
