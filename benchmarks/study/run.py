"""The study of docs/results.md: every row is a run and its evaluation; what is done is not done again.

    python benchmarks/study/run.py --out study --faces PATH/TO/faces --incomplete PATH/TO/incomplete.npz

An interrupted row is resumed from its last checkpoint. `--lanes 2` trains two rows at a time, a thread each.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Row:
    """A run of the study: `changes` are KEY=VALUE of its recipe, `seed` the run's."""

    name: str
    recipe: str
    changes: tuple[str, ...]
    beside: tuple[str, ...]
    seed: int
    baselines: bool = False

    def folder(self, out: Path) -> Path:
        """Where its runs are."""
        return out / self.name


def read_rows(
    places: dict[str, str | None], seeds: Sequence[int], file: Path = HERE / "rows.yaml"
) -> list[Row]:
    """The rows whose data are at hand, once for each seed."""
    groups: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return [
        row
        for seed in seeds
        for group in groups.values()
        if all(places.get(place) for place in group["needs"].values())
        for row in _rows(group, places, seed)
    ]


def _rows(group: dict[str, Any], places: dict[str, str | None], seed: int) -> Iterator[Row]:
    data = [f"{key}={places[place]}" for key, place in group["needs"].items()]
    for row in group["rows"]:
        changes = [_placed(change, places) for change in row.get("set", ())]
        suffix = f"_seed{seed}" if seed else ""
        yield Row(
            name=row["name"] + suffix,
            recipe=row["recipe"],
            changes=(*data, *changes, f"name={row['name']}{suffix}", f"seed={seed}"),
            beside=tuple(other + suffix for other in row.get("beside", ())),
            seed=seed,
            baselines=row.get("baselines", False),
        )


def _placed(change: str, places: dict[str, str | None]) -> str:
    """With {faces} and the like replaced; other braces are YAML's."""
    for name, place in places.items():
        change = change.replace(f"{{{name}}}", place or "")
    return change


def finished(folder: Path) -> Path | None:
    """The row's run that is done, if there is one."""
    for record in sorted(folder.glob("*/run.json")):
        if json.loads(record.read_text("utf-8")).get("status") == "finished":
            return record.parent
    return None


def begun(folder: Path) -> Path | None:
    """The row's run that has a checkpoint to go on from, if there is one."""
    found = [path.parent.parent for path in sorted(folder.glob("*/checkpoints/latest"))]
    return found[-1] if found else None


def train(row: Row, out: Path, threads: int) -> int:
    """Train a row to its end, unless that is done; the exit code of the command."""
    folder = row.folder(out)
    if finished(folder):
        return 0
    going = begun(folder)
    command = ["resume", str(going)] if going else ["run", row.recipe, *row.changes, "--out", str(out)]
    return _ambientkit(command, out / f"{row.name}.log", threads)


def evaluate(row: Row, out: Path, threads: int, metrics: str | None = None) -> int:
    """Take a row's figures beside the rows that it is compared with, unless that is done or these are not."""
    run = finished(row.folder(out))
    others = [finished(out / name) for name in row.beside]
    if run is None or None in others or (run / "evaluation" / "evaluation.json").exists():
        return 0
    against = [part for other in others for part in ("--against", str(other))]
    chosen = [*(["--metrics", metrics] if metrics else []), *(["--baselines"] if row.baselines else [])]
    command = ["evaluate", str(run), *against, *chosen, "--bootstrap", "500"]
    return _ambientkit(command, out / f"{row.name}.log", threads)


def _ambientkit(command: Sequence[str], log: Path, threads: int) -> int:
    """Run a verb with its output in `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    with log.open("a", encoding="utf-8") as file:
        file.write(f"$ ambientkit {' '.join(command)}\n")
        file.flush()
        done = subprocess.run(
            [sys.executable, "-m", "ambientkit", *command],
            stdout=file,
            stderr=file,
            env=environment,
            check=False,
        )
    return done.returncode


def main() -> int:
    """Train, then evaluate, what is not done yet; the number of rows that failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, required=True)
    for place in ("faces", "incomplete", "mnist"):
        parser.add_argument(f"--{place}")
    parser.add_argument("--only", nargs="*", metavar="ROW")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0])
    parser.add_argument("--lanes", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1, help="of each lane")
    parser.add_argument("--metrics", metavar="A,B", help="figures; else all that can be taken")
    given = parser.parse_args()
    rows = read_rows({name: getattr(given, name) for name in ("faces", "incomplete", "mnist")}, given.seeds)
    rows = [row for row in rows if not given.only or row.name in given.only]

    def figures(row: Row) -> int:
        return evaluate(row, given.out, given.threads, given.metrics)

    with ThreadPoolExecutor(given.lanes) as lanes:
        failed = list(lanes.map(lambda row: train(row, given.out, given.threads) or figures(row), rows))
        failed += lanes.map(figures, rows)  # of rows that stand beside one that was done later
    return sum(code != 0 for code in failed)


if __name__ == "__main__":
    sys.exit(main())
