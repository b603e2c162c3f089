"""A trained generator as a program of its own, that runs without ambientkit: torch.export, or ONNX."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from ambientkit.completion import TrainedRun
from ambientkit.errors import InputError, RunError
from ambientkit.interfaces import Measured

CLOSE = 1e-3  # how far an exported program may be from the network, for pictures in [-1, 1]
OPSET = 20
ONNX = "pip install 'ambientkit[onnx]'"


@dataclass(frozen=True)
class Exported:
    """A program on disk. `any_size`: it takes pictures of every size that is a multiple of `multiple`."""

    file: Path
    inputs: tuple[str, ...]
    any_size: bool
    multiple: int
    image_shape: tuple[int, ...]


class Completing(nn.Module):
    """Pictures and what is hidden in them to completed pictures, observed pixels kept."""

    def __init__(self, network: nn.Module, fill: float, composite: bool) -> None:
        super().__init__()
        self.network, self.fill, self.composite = network, fill, composite

    def forward(self, images: Tensor, hidden: Tensor, latent: Tensor | None = None) -> Tensor:
        """`images` (n, C, H, W) in [-1, 1], `hidden` bool (n, 1, H, W); what is hidden is not read."""
        y = torch.where(hidden, self.fill, images)
        made: Tensor = self.network(Measured(y, ~hidden), latent).clamp(-1, 1)
        return torch.where(hidden, made, images) if self.composite else made


class Generating(nn.Module):
    """Latents to pictures."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, latent: Tensor) -> Tensor:
        """(n, ...) to (n, C, H, W) in [-1, 1]."""
        made: Tensor = self.network(None, latent).clamp(-1, 1)
        return made


def export(run: TrainedRun, file: Path, *, onnx: bool = False) -> Exported:
    """Write a run's generator to `file`, in float32 for the CPU, batch norms folded into convolutions.

    The batch is dynamic; so are height and width, where the network's program does not depend on them.
    Raises InputError where packages are missing, RunError where the program is not the network.
    """
    if onnx:
        _require_onnx()
    plain, inputs = _program(run, _as_it_is)
    # one that never ran: running leaves traces
    program, _ = _program(run, folded if _foldable(run, plain, inputs) else _as_it_is)
    multiple = int(getattr(run.network, "multiple", 1))
    exported = _of_any_size(program, inputs, multiple) if run.completes else None
    any_size = exported is not None
    exported = exported or _traced(program, inputs, None)
    if not _the_same(plain, exported.module(), inputs):
        raise RunError(f"{run.folder}: the exported program is not the network; use the run itself")
    file.parent.mkdir(parents=True, exist_ok=True)
    written = Exported(file, tuple(inputs), any_size, multiple, run.image_shape)
    if onnx:
        _write_onnx(exported, written, "completed" if run.completes else "made")
    else:
        torch.export.save(exported, file)
    return written


def _write_onnx(exported: Any, written: Exported, output: str) -> None:
    """The sizes that it takes stand in its metadata, since programs of ONNX compute with any."""
    program = torch.onnx.export(exported, (), opset_version=OPSET, output_names=[output], verbose=False)
    assert program is not None
    if written.any_size:
        said = {"multiple": str(written.multiple), "smallest": str(2 * written.multiple)}
    else:
        said = {"size": "x".join(map(str, written.image_shape[1:]))}
    program.model.metadata_props.update(said)
    program.save(str(written.file), external_data=False)


def _program(
    run: TrainedRun, lightened: Callable[[nn.Module], nn.Module]
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network, `lightened`, with what goes around it, and an example of its inputs: two pictures."""
    network = copy.deepcopy(run.network).cpu().float().eval().requires_grad_(False)
    network = lightened(network).to(memory_format=torch.contiguous_format)
    latent_shape = run.network.latent_shape(run.image_shape)  # type: ignore[operator]  # of the contract
    latent = None if latent_shape is None else torch.zeros(2, *latent_shape)
    if not run.completes:
        assert latent is not None
        return Generating(network).eval(), {"latent": latent}
    shape = (run.measured_shape or run.image_shape)[0], *run.image_shape[1:]
    inputs = {"images": torch.zeros(2, *shape), "hidden": torch.zeros(2, 1, *shape[1:], dtype=torch.bool)}
    inputs["hidden"][..., : shape[1] // 2, : shape[2] // 2] = True
    completing = Completing(network, run.fill or 0.0, run.composite).eval()
    return completing, inputs if latent is None else {**inputs, "latent": latent}


def _foldable(run: TrainedRun, plain: nn.Module, inputs: dict[str, Tensor]) -> bool:
    try:
        return _the_same(plain, _program(run, folded)[0], inputs)
    except Exception:  # weights that are computed, and whatever else a network does with its parts
        return False


def _as_it_is(network: nn.Module) -> nn.Module:
    return network


def folded(network: nn.Module) -> nn.Module:
    """Batch norms after a convolution become part of it, in place: the same function in less time.

    That is so where an `nn.Sequential` runs its parts one after the other, and nobody else runs them.
    """
    for owner in network.modules():
        if type(owner) is not nn.Sequential:
            continue
        for index in range(len(owner) - 1):
            convolution, norm = owner[index], owner[index + 1]
            if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None:
                continue
            if isinstance(convolution, nn.Conv2d | nn.ConvTranspose2d):
                transposed = isinstance(convolution, nn.ConvTranspose2d)
                owner[index] = fuse_conv_bn_eval(convolution, norm, transposed)
                owner[index + 1] = nn.Identity()
    return network


def _traced(program: nn.Module, inputs: dict[str, Tensor], multiple: int | None) -> Any:
    batch = torch.export.Dim("batch", min=1)
    shapes: dict[str, dict[int, Any]] = {name: {0: batch} for name in inputs}
    if multiple is not None:
        height, width = (multiple * torch.export.Dim(name, min=2) for name in ("rows", "columns"))
        shapes = {name: {0: batch, 2: height, 3: width} for name in inputs}
    return torch.export.export(program, (), dict(inputs), dynamic_shapes=shapes)


def _of_any_size(program: nn.Module, inputs: dict[str, Tensor], multiple: int) -> Any | None:
    """The program for pictures of all sizes; None where it depends on the size."""
    rows, columns = (side + multiple for side in inputs["images"].shape[-2:])
    others = {name: functional.interpolate(value.float(), (rows, columns)) for name, value in inputs.items()}
    try:
        exported = _traced(program, inputs, multiple)
        fits = _the_same(
            program, exported.module(), {name: others[name].to(inputs[name].dtype) for name in inputs}
        )
    except Exception:  # what a program may not do has no type in common
        return None
    return exported if fits else None


def _the_same(program: nn.Module, other: nn.Module, inputs: dict[str, Tensor]) -> bool:
    """Whether the other one does on one picture what the network does."""
    generator = torch.Generator().manual_seed(0)
    one = {
        name: value[:1] if value.dtype == torch.bool else torch.randn(value[:1].shape, generator=generator)
        for name, value in inputs.items()
    }
    with torch.no_grad():
        apart = (program(**one) - other(**one)).abs().max().item()
    return bool(apart <= CLOSE)


def _require_onnx() -> None:
    missing = [name for name in ("onnx", "onnxscript") if find_spec(name) is None]
    if missing:
        raise InputError(f"ONNX needs packages that are not there ({', '.join(missing)}); {ONNX}")
