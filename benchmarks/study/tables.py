"""The study's tables, as docs/results.md has them, from what run.py, deepinv_uair.py and digits.py left.

python benchmarks/study/tables.py study
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from run import HERE, finished

FIGURES = {
    "hidden PSNR, dB": ("hidden_psnr", 2),
    "pooled": ("hidden_psnr_pooled", 2),
    "composited PSNR": ("composited_psnr", 2),
    "hidden SSIM": ("hidden_ssim", 3),
    "hidden L1": ("hidden_l1", 4),
    "perceptual": ("perceptual_efficientnet_lite0", 3),
    "KID": ("kid_efficientnet_lite0", 1),
    "remeasured KID": ("remeasured_kid_efficientnet_lite0", 1),
    "seam": ("seam", 2),
    "inside / outside": ("inside_outside", 2),
    "colour step": ("colour_step", 2),
    "natural": ("colour_step_natural", 2),
    "saturated": ("saturation", 3),
    "diversity": ("diversity", 3),
    "of the error": ("diversity_of_error", 2),
}


def _shown(figure: Sequence[float | None] | None, digits: int) -> str:
    """Value and interval; nothing where there is none."""
    if figure is None or figure[0] is None:
        return ""
    value, low, high = figure
    told = f"{value:.{digits}f}"
    return told if low is None or high is None else f"{told} ({low:.{digits}f} to {high:.{digits}f})"


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> str:
    lines = [list(head), ["---"] * len(head), *(list(row) for row in rows)]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def _figures(run: Path) -> Path | None:
    """Where a row's figures are: a run's own, or those that another library's row left beside no run."""
    places = [run / "evaluation" / "evaluation.json", run / "evaluation.json"]
    return next((place for place in places if place.exists()), None)


def _evaluation(run: Path) -> dict[str, Any]:
    place = _figures(run)
    assert place is not None, run
    found: dict[str, Any] = json.loads(place.read_text("utf-8"))
    return found


def _record(run: Path) -> dict[str, Any]:
    """Steps and seconds; where another library trained, they stand with the figures."""
    if not (run / "run.json").exists():
        return _evaluation(run)
    found: dict[str, Any] = json.loads((run / "run.json").read_text("utf-8"))
    return found


def _line(figures: dict[str, Any], columns: Sequence[str]) -> list[str]:
    return [_shown(figures.get(FIGURES[name][0]), FIGURES[name][1]) for name in columns]


def evaluated(out: Path) -> dict[str, Path]:
    """Rows that have figures, by name, with their runs."""
    folders = [folder for folder in sorted(out.iterdir()) if folder.is_dir()]
    found = {folder.name: finished(folder) or folder for folder in folders}
    return {name: run for name, run in found.items() if _figures(run)}


def of_group(out: Path, group: dict[str, Any]) -> str:
    """A group of rows.yaml: its rows in order, each with the baselines that it brought, once."""
    runs = evaluated(out)
    rows = [*(row["name"] for row in group["rows"]), *group.get("other_libraries", ())]
    names = [name for row in rows for name in sorted(runs) if name.split("_seed")[0] == row]
    columns = [name for name in FIGURES if any(_has(runs[each], name) for each in names)]
    return _table(["row", "steps", "minutes", *columns], _lines(runs, names, columns))


def _has(run: Path, column: str) -> bool:
    return FIGURES[column][0] in next(iter(_evaluation(run)["rows"].values()))


def _lines(runs: dict[str, Path], names: Sequence[str], columns: Sequence[str]) -> Iterator[list[str]]:
    told: set[str] = set()
    for name in names:
        record = _record(runs[name])
        for row, figures in _evaluation(runs[name])["rows"].items():
            own = row.split("/")[0] == name
            if own:
                minutes = f"{record['seconds'] / 60:.0f}"
                yield [f"`{name}`", str(record["step"]), minutes, *_line(figures, columns)]
            elif "/" not in row and row not in told:
                told.add(row)
                yield [row, "", "", *_line(figures, columns)]


def differences(out: Path) -> str:
    """Each row less the rows that it stands beside, on the same pictures, redrawn together."""
    columns = ["hidden PSNR, dB", "hidden SSIM", "KID", "inside / outside"]
    rows = (
        [f"`{name}` less `{other.split('/')[0]}`", *_line(figures, columns)]
        for name, run in evaluated(out).items()
        for other, figures in _evaluation(run)["differences"].items()
    )
    return _table(["", *columns], rows)


def of_digits(file: Path) -> str:
    """The scores of digits.json."""
    done = json.loads(file.read_text("utf-8"))
    return _table(["digits", "score"], ([name, _shown(each, 2)] for name, each in done["scores"].items()))


def main() -> None:
    """Print every table that there are figures for."""
    out = Path(sys.argv[1])
    for name, group in yaml.safe_load((HERE / "rows.yaml").read_text("utf-8")).items():
        print(f"{name}\n\n{of_group(out, group)}")
    print(f"differences\n\n{differences(out)}")
    if (out / "digits.json").exists():
        print(of_digits(out / "digits.json"))


if __name__ == "__main__":
    main()
