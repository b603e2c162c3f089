"""One sheet of pictures from the samples of a run."""

from __future__ import annotations

from typing import Any

import torch
from ambientkit import Evaluated
from torch import Tensor


def sheet(samples: Evaluated) -> Any:
    """A NumPy array, uint8 (rows, columns, 1 or 3): a row a picture; measured, made, completed, truth.

    A measurement that is no picture of this size is left out, and so is a truth that nobody knows.
    """
    shown = [samples.y] if samples.y.shape == samples.made.shape else []
    shown += [samples.made, samples.completed]
    shown += [samples.truth] if samples.truth is not None else []
    rows = torch.cat([_showable(pictures) for pictures in shown], dim=3)  # side by side
    return torch.cat(list(rows), dim=1).permute(1, 2, 0).numpy()


def _showable(pictures: Tensor) -> Tensor:
    """uint8, grey or colour: of other numbers of channels the first is shown."""
    channels = 3 if pictures.shape[1] == 3 else 1
    unit = (pictures[:, :channels].detach().float().cpu().nan_to_num(0.0).clamp(-1, 1) + 1) / 2
    return (unit * 255).round().to(torch.uint8)
