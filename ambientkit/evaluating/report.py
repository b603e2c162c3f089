"""An evaluation on disk: evaluation.json and a grid of the first pictures."""

from __future__ import annotations

import io
import itertools
import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor
from torchvision.transforms.functional import to_pil_image
from torchvision.utils import make_grid

from ambientkit.durable import sweep, write_bytes
from ambientkit.errors import InputError, RunFolderError
from ambientkit.evaluating.evaluate import AS_MEASURED, Evaluation
from ambientkit.levels import to_eight_bits
from ambientkit.run_folder import finite, write_json

log = logging.getLogger("ambientkit")
TABLE, PICTURE = "evaluation.json", "evaluation.png"
LETTERS = 10  # pixels that a line of names is high


def require_free(folder: Path) -> None:
    """Raises InputError where `folder` holds an evaluation already, or part of one."""
    held = [name for name in (TABLE, PICTURE) if (folder / name).exists()]
    if held:
        raise InputError(f"{folder}: there is {' and '.join(held)} in it already; give another --out")


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write evaluation.json and, where there are pictures, evaluation.png into `folder`; what was written.

    A row of the grid bears the name of what the table says of it, below the truth and what was measured.
    An evaluation that lies there and says anything else becomes earlier-0001.json and earlier-0001.png, or
    whatever number is free.
    Raises RunFolderError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        plain = evaluation.plain()
        _set_aside(folder, plain)
        write_json(folder / TABLE, plain)
        written = [folder / TABLE]
        rows = _alike(evaluation.pictures)
        if rows:
            picture = io.BytesIO()
            sheet(rows).save(picture, format="png")
            write_bytes(folder / PICTURE, picture.getvalue())
            written.append(folder / PICTURE)
    except OSError as error:
        raise RunFolderError(
            f"{folder}: cannot be written to ({error.strerror}); give another --out"
        ) from error
    return written


def _set_aside(folder: Path, plain: Mapping[str, Any]) -> None:
    """Rename what an earlier evaluation left, unless it says the same as this one.

    The table goes last: who is killed in between finds it, and its picture under the number that it gets.
    """
    there = [folder / name for name in (PICTURE, TABLE) if (folder / name).exists()]
    if _says(folder / TABLE, plain):
        return
    number = next(number for number in itertools.count(1) if not _taken(there, number))
    for path in there:
        path.rename(_earlier(path, number))
        log.warning("%s is another evaluation's, and is kept as %s", path, _earlier(path, number).name)


def _earlier(path: Path, number: int) -> Path:
    return path.with_name(f"earlier-{number:04d}{path.suffix}")


def _taken(there: list[Path], number: int) -> bool:
    """Whether a table has the number, or something would be overwritten."""
    table = [path.with_name(TABLE) for path in there]
    return any(_earlier(path, number).exists() for path in (*there, *table))


def _says(table: Path, plain: Mapping[str, Any]) -> bool:
    """Whether an evaluation on disk is this very one."""
    try:
        return bool(json.loads(table.read_text("utf-8")) == finite(plain))
    except (FileNotFoundError, ValueError):
        return False


def _alike(rows: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rows of the last one's shape: measurements need not be pictures. What is twice there stands once."""
    shape = [row.shape for row in rows.values()][-1:]
    same = {name: row for name, row in rows.items() if row.dim() == 4 and [row.shape] == shape}
    again = {"nature": "truth", AS_MEASURED: "measured"}
    return {name: row for name, row in same.items() if again.get(name) not in same}


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
