"""Where a run computes: device, autocast precision, memory format, and with which other processes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeVar

import torch
from torch import Tensor, nn

from ambientkit.errors import InputError, PluginError
from ambientkit.group import Group
from ambientkit.interfaces import Measured, Theta, View
from ambientkit.processes import expected, local_rank

Precision = Literal["auto", "fp32", "bf16"]
Module = TypeVar("Module", bound=nn.Module)
ALONE = Group()


@dataclass(frozen=True)
class Machine:
    """A device, the precision of networks on it, and the other processes of a run, if there are any.

    Losses and optimiser state stay float32.
    """

    device: torch.device
    bf16: bool
    group: Group = ALONE
    compiled: bool = False  # whether networks are, for training

    def place(self, network: Module) -> Module:
        """Move a network here, its convolutions' weights laid out channels-last."""
        network.to(self.device)
        network.to(memory_format=torch.channels_last)
        return network

    def run(self, network: nn.Module, *inputs: Any) -> Tensor:
        """Apply a network under autocast; the result is float32."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16):
            output: object = network(*inputs)
        if not isinstance(output, Tensor):
            name, what = type(network).__name__, type(output).__name__
            raise PluginError(f"{name}: `forward` returned a {what}; return one tensor")
        return output.float()

    def send(self, measured: Measured) -> Measured:
        """A batch on this device, channels-last where it is image-shaped."""
        return Measured(
            self.tensor(measured.y),
            None if measured.observed is None else measured.observed.to(self.device, non_blocking=True),
            None if measured.known is None else self.theta(measured.known),
        )

    def tensor(self, images: Tensor) -> Tensor:
        """Images on this device, channels-last."""
        layout = torch.channels_last if images.dim() == 4 else torch.contiguous_format
        return images.to(self.device, memory_format=layout, non_blocking=True)

    def theta(self, theta: Mapping[str, Tensor]) -> Theta:
        """Theta on this device."""
        return {name: value.to(self.device, non_blocking=True) for name, value in theta.items()}

    def __str__(self) -> str:
        others = f", {self.group.size} processes" if self.group.size > 1 else ""
        compiled = ", compiled" if self.compiled else ""
        return f"{self.device}, {'bf16' if self.bf16 else 'fp32'}{compiled}{others}"


def choose(device: str | torch.device = "auto", precision: str = "auto", compile: str = "auto") -> Machine:
    """The machine for `--device`, `--precision` and `--compile`.

    Raises InputError for one that ambientkit cannot use or that is not there.
    """
    device = str(device)  # a torch.device too
    name = ("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device
    if name == "cuda" and expected() > 1:
        name = f"cuda:{local_rank()}"  # each process has a GPU of its own
    kind = name.partition(":")[0]
    if kind not in ("cpu", "cuda"):
        raise InputError(f"device {device!r} is not supported; use cpu, cuda or auto")
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(
            f"device {device!r} was asked for, but torch sees no CUDA GPU here; use --device cpu"
        )
    if precision not in ("auto", "fp32", "bf16"):
        raise InputError(f"precision {precision!r} is not supported; use auto, fp32 or bf16")
    if compile not in ("auto", "on", "off"):
        raise InputError(f"compile {compile!r} is not supported; use auto, on or off")
    bf16 = _native_bf16(kind) if precision == "auto" else precision == "bf16"
    return Machine(_existing(name), bf16, compiled=compile == "on")


def _existing(name: str) -> torch.device:
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device {name!r} is not supported; use cpu, cuda, cuda:0 or auto") from None
    count = torch.cuda.device_count() if device.type == "cuda" else 1
    if device.index is not None and device.index >= count:
        raise InputError(f"device {name!r} was asked for, but there are only {count}, counted from 0")
    return device


def _native_bf16(kind: str) -> bool:
    """Whether bf16 is computed in hardware; where it is emulated it only costs time."""
    if kind == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    return bool(torch.cpu._is_avx512_bf16_supported())  # torch 2.11 has no public query


def features_of(machine: Machine, discriminator: Any) -> Callable[[View], Sequence[Tensor]]:
    """The discriminator's inner maps as fidelities call for them: View -> float32 tensors."""

    def features(view: View) -> Sequence[Tensor]:
        with torch.autocast(machine.device.type, torch.bfloat16, enabled=machine.bf16):
            maps = discriminator.features(replace(view, y=machine.tensor(view.y)))
        if not isinstance(maps, list | tuple) or not maps:
            name, what = type(discriminator).__name__, type(maps).__name__
            raise PluginError(f"{name}: `features` returned a {what}; return its inner maps, one or more")
        return [each.float() for each in maps]

    return features


def critic_of(machine: Machine, discriminator: nn.Module) -> Any:
    """The discriminator as objectives call it: View -> float32 scores."""

    def critic(view: View) -> Tensor:
        return machine.run(discriminator, replace(view, y=machine.tensor(view.y)))

    return critic
