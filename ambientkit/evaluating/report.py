"""An evaluation on disk: evaluation.json and a grid of the first pictures."""

from __future__ import annotations

import io
import math
from collections.abc import Mapping
from pathlib import Path

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from ambientkit.durable import sweep, write_bytes
from ambientkit.errors import RunFolderError
from ambientkit.evaluating.evaluate import Evaluation
from ambientkit.levels import to_eight_bits
from ambientkit.run_folder import write_json

LETTERS = 10  # pixels that a line of names is high


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write evaluation.json and, where there are pictures, evaluation.png into `folder`; what was written.

    A row of the grid bears the name of what the table says of it, below the truth and what was measured.
    Raises RunFolderError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        write_json(folder / "evaluation.json", evaluation.plain())
        written = [folder / "evaluation.json"]
        rows = _alike(evaluation.pictures)
        if rows:
            picture = io.BytesIO()
            sheet(rows).save(picture, format="png")
            write_bytes(folder / "evaluation.png", picture.getvalue())
            written.append(folder / "evaluation.png")
    except OSError as error:
        raise RunFolderError(
            f"{folder}: cannot be written to ({error.strerror}); give another --out"
        ) from error
    return written


def _alike(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The rows of the last one's shape: measurements need not be pictures. Nature is the truth, once."""
    shape = [row.shape for row in rows.values()][-1:]
    same = {name: row for name, row in rows.items() if row.dim() == 4 and [row.shape] == shape}
    return {name: row for name, row in same.items() if name != "nature" or "truth" not in same}


def sheet(rows: Mapping[str, Tensor]) -> Image.Image:
    """Pictures (n, C, H, W) in [-1, 1] in rows, with the name of each beside it."""
    count, height = len(next(iter(rows.values()))), next(iter(rows.values())).shape[-2] + 1
    grid = make_grid(torch.cat(list(rows.values())), nrow=count, padding=1)
    pictures = to_pil_image(to_eight_bits(grid)).convert("RGB")
    font = ImageFont.load_default()
    margin = 6 + math.ceil(max(font.getlength(name) for name in rows))
    made = Image.new("RGB", (margin + pictures.width, max(pictures.height, height * len(rows) + 1)), "white")
    made.paste(pictures, (margin, 0))
    draw = ImageDraw.Draw(made)
    for number, name in enumerate(rows):
        draw.text((3, height * number + height // 2 - LETTERS // 2), name, "black", font)
    return made
