"""Grids of pictures: what was measured, what the network made of it, and what was there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ambientkit import Evaluated, hookimpl
from ambientkit.interfaces import RunInfo, StepReport

GAP = 2  # pixels of grey between pictures


class ImageGrid:
    """Writes a grid of `count` samples every `every` steps, at the first and at the last."""

    def __init__(self, every: int = 500, count: int = 8) -> None:
        self.every = every
        self.count = count

    @hookimpl
    def on_step_end(self, run: RunInfo, report: StepReport) -> None:
        """Write the grid where one is due."""
        if report.step % self.every == 0 or report.step in {1, run.total_steps}:
            folder = run.folder / "samples"
            folder.mkdir(parents=True, exist_ok=True)
            save_grid(report.samples(self.count), folder / f"step-{report.step:07d}.png")


def save_grid(samples: Evaluated, path: Path) -> None:
    """Write a PNG: a row a picture; measured, made, completed (where it differs), truth (where known)."""
    pixels = grid(columns(samples)).permute(1, 2, 0).numpy()
    aside = path.with_suffix(".part")
    Image.fromarray(pixels.squeeze(2) if pixels.shape[2] == 1 else pixels).save(aside, format="PNG")
    os.replace(aside, path)  # noqa: PTH105 - a viewer never finds half a picture


def columns(samples: Evaluated) -> list[Tensor]:
    """The kinds of pictures to show, (n, C, H, W) each, the measurement first."""
    shown = [as_picture(samples.y, samples.made.shape[-2:]), samples.made]
    if not torch.equal(samples.made, samples.completed):
        shown.append(samples.completed)
    if samples.truth is not None:
        shown.append(samples.truth)
    return shown


def as_picture(y: Tensor, size: Sequence[int]) -> Tensor:
    """A measurement as a picture (n, C, H, W) of `size`; what is as large already stays as it is.

    Of other measurements the last axis lies across and all axes between are rows, so a projection is a
    strip; each is stretched to the size and to [-1, 1].
    """
    if y.dim() == 4 and y.shape[-2:] == tuple(size):
        return y
    rows = y.flatten(1, -2) if y.dim() > 2 else y.unsqueeze(1)
    strip = functional.interpolate(rows.float().unsqueeze(1), size=tuple(size), mode="area")
    low, high = strip.amin((1, 2, 3), keepdim=True), strip.amax((1, 2, 3), keepdim=True)
    return (strip - low) / (high - low).clamp(min=torch.finfo(strip.dtype).tiny) * 2 - 1


def grid(kinds: list[Tensor]) -> Tensor:
    """uint8 (1 or 3, rows, columns): pictures side by side, a row for each, with grey between them."""
    shown = [_showable(kind) for kind in kinds]
    most = max(kind.shape[1] for kind in shown)  # grey strips beside pictures in colour
    rows = torch.stack([kind.expand(-1, most, -1, -1) for kind in shown], dim=1)  # (n, kinds, C, H, W)
    framed = functional.pad(rows, (GAP, 0, GAP, 0), value=0.0)
    n, kinds_count, channels, height, width = framed.shape
    sheet = framed.permute(2, 0, 3, 1, 4).reshape(channels, n * height, kinds_count * width)
    sheet = functional.pad(sheet, (0, GAP, 0, GAP), value=0.0)
    return ((sheet + 1) * 127.5).round().to(torch.uint8)


def _showable(pictures: Tensor) -> Tensor:
    """Grey or colour, in [-1, 1]: of other numbers of channels the first is shown."""
    channels = 3 if pictures.shape[1] == 3 else 1
    return pictures[:, :channels].detach().float().cpu().nan_to_num(0.0).clamp(-1, 1)
