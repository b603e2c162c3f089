"""An evaluation on disk: evaluation.json and a grid of the first pictures."""

from __future__ import annotations

import io
from pathlib import Path

from torch import Tensor
from torchvision.utils import make_grid, save_image

from ambientkit.durable import sweep, write_bytes
from ambientkit.errors import RunFolderError
from ambientkit.evaluating.evaluate import Evaluation
from ambientkit.run_folder import write_json


def write(evaluation: Evaluation, folder: Path) -> list[Path]:
    """Write evaluation.json and, where there are pictures, evaluation.png into `folder`; what was written.

    A row of the grid is a row of the table, headed by the truth and what was measured. Raises
    RunFolderError where the folder cannot be written to.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        sweep(folder)
        write_json(folder / "evaluation.json", evaluation.plain())
        written = [folder / "evaluation.json"]
        rows = _alike(list(evaluation.pictures.values()))
        if rows:
            grid = make_grid([picture for row in rows for picture in row], nrow=len(rows[0]), padding=1)
            picture = io.BytesIO()
            save_image((grid.clamp(-1, 1) + 1) / 2, picture, format="png")
            write_bytes(folder / "evaluation.png", picture.getvalue())
            written.append(folder / "evaluation.png")
    except OSError as error:
        raise RunFolderError(
            f"{folder}: cannot be written to ({error.strerror}); give another --out"
        ) from error
    return written


def _alike(rows: list[Tensor]) -> list[Tensor]:
    """The rows that have the shape of the last one: measurements need not be pictures."""
    return [row for row in rows if row.dim() == 4 and row.shape == rows[-1].shape]
