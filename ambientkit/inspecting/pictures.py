"""Pictures of an inspection: measured samples beside their pictures, and maps of what is observed."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

from ambientkit.inspecting.inspection import Inspection
from ambientkit.levels import to_eight_bits

GAP = 2  # pixels of grey between tiles
LEAST = 64  # samples are enlarged by a whole factor until their longer side has about so many pixels
LEAST_OF_MAPS = 256
STRIP = 8  # rows of a vector, so that it can be seen
GREY = 128
NEVER = (255, 0, 0)


def samples_sheet(found: Inspection) -> Tensor:
    """uint8 (3, rows, columns): measured samples side by side, and below them their pictures where known."""
    y = found.shown.measured.y
    measured = pictures(y) if y.shape[1:] == found.about.image_shape else strips(y)
    rows = [measured]
    if found.shown.pictures is not None:
        rows.append(pictures(found.shown.pictures))
    return sheet(rows)


def maps_sheet(found: Inspection) -> Tensor | None:
    """uint8 (3, rows, columns): maps side by side, a row a channel; None where nothing is known of it.

    First how often each pixel is observed, from black (never, marked red) to white (always); then the
    chance that the further measurement hides it where it is observed, red where that never happens.
    """
    if found.evidence is None:
        return None
    maps = [found.evidence.masks.rate]
    if found.further is not None:
        maps.append(found.further.rate.nan_to_num(0.0))
    channels = max(len(each) for each in maps)
    wide = [each.expand(channels, -1, -1) for each in maps]
    return sheet([[_heat(each[channel]) for each in wide] for channel in range(channels)])


def pictures(images: Tensor) -> list[Tensor]:
    """Tiles of pictures (n, C, H, W) in [-1, 1]; of neither 1 nor 3 channels the first is shown."""
    channels = 3 if images.shape[1] == 3 else 1
    shown = images[:, :channels].float().nan_to_num(0.0).expand(-1, 3, -1, -1)
    return [enlarged(tile) for tile in to_eight_bits(shown)]


def strips(y: Tensor) -> list[Tensor]:
    """Tiles of measurements of any shape (n, ...): the last axis across, the others down.

    A vector is a strip. Black is the smallest value among the samples, white the largest.
    """
    rows = y.flatten(1, -2) if y.dim() > 2 else y.reshape(len(y), 1, -1).expand(-1, STRIP, -1)
    rows = rows.float().nan_to_num(0.0, posinf=0.0, neginf=0.0)
    low, high = rows.min(), rows.max()
    span = high - low if high > low else torch.ones(())
    grey = ((rows - low) / span * 255).round().to(torch.uint8)
    return [enlarged(tile.expand(3, -1, -1)) for tile in grey]


def _heat(rate: Tensor) -> Tensor:
    """A map of shares in 0..1, (H, W); red where it is 0."""
    grey = (rate.clamp(0, 1) * 255).round().to(torch.uint8)
    red = torch.tensor(NEVER, dtype=torch.uint8).view(3, 1, 1)
    return enlarged(torch.where(rate == 0, red, grey), LEAST_OF_MAPS)


def enlarged(tile: Tensor, least: int = LEAST) -> Tensor:
    """uint8 (3, h, w), each pixel repeated so often that the longer side is about `least`."""
    factor = max(1, least // max(tile.shape[-2:]))
    return tile.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def sheet(rows: Sequence[Sequence[Tensor]]) -> Tensor:
    """Tiles (3, h, w) in rows on grey; each column is as wide as its widest tile, each row as its highest."""
    count = max(len(row) for row in rows)
    widths = [max(row[i].shape[-1] for row in rows if i < len(row)) for i in range(count)]
    lines = []
    for row in rows:
        height = max(tile.shape[-2] for tile in row)
        tiles = [_framed(tile, height, width) for tile, width in zip(row, widths, strict=False)]
        line = torch.cat(tiles, -1)
        lines.append(functional.pad(line, (0, sum(widths) + GAP * count - line.shape[-1]), value=GREY))
    return functional.pad(torch.cat(lines, -2), (0, GAP, 0, GAP), value=GREY)


def _framed(tile: Tensor, height: int, width: int) -> Tensor:
    return functional.pad(tile, (GAP, width - tile.shape[-1], GAP, height - tile.shape[-2]), value=GREY)


def save(picture: Tensor, path: Path) -> None:
    """Write uint8 (3, rows, columns) as PNG; a viewer never finds half a picture."""
    aside = path.with_name(f".{path.name}.part")
    Image.fromarray(picture.permute(1, 2, 0).contiguous().numpy()).save(aside, format="PNG")
    os.replace(aside, path)  # noqa: PTH105 - over one that is there
