"""The run folder: what a run leaves on disk. Imports no torch.

runs/celeba_block/0003-seed0/
  recipe.yaml  resolved.yaml  run.json  metrics.jsonl  log.txt  samples/
  checkpoints/step-0005000/...  checkpoints/latest
"""

from __future__ import annotations

import errno
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ambientkit.durable import HeldElsewhereError, aside_of, flush, holder, lock, remove, sweep, write_text
from ambientkit.errors import RunFolderError

FORMAT = 1


@dataclass(frozen=True)
class RunSummary:
    """A run as listings show it."""

    folder: Path
    name: str
    status: str
    step: int
    total_steps: int
    started: str
    figures: Mapping[str, float] = field(default_factory=dict)
    labels: tuple[str, ...] = ()


def create(root: Path, name: str, seed: int, fill: Callable[[Path], None] | None = None) -> Path:
    """A new folder `root/name/NNNN-seedS`; raises RunFolderError when none can be made.

    `fill` writes into it before it has its name: a run folder is there with its run.json, or not at all.
    """
    parent = root / name
    try:
        _make_folder(parent)
        sweep(parent)
        aside = aside_of(parent / "new")
        aside.mkdir()
        try:
            if fill:
                fill(aside)
            return _named(aside, parent, seed)
        except BaseException:
            remove(aside)
            raise
    except OSError as error:
        raise RunFolderError(
            f"{parent}: cannot make a run folder there ({error.strerror}); give another --out"
        ) from error


def _named(aside: Path, parent: Path, seed: int) -> Path:
    """Rename `aside` to the first number after all that are taken."""
    flush(aside)
    taken = [int(path.name[:4]) for path in parent.iterdir() if re.match(r"\d{4}-", path.name)]
    for number in range(max(taken, default=0) + 1, 10_000):
        folder = parent / f"{number:04d}-seed{seed}"
        with _claimed(parent / f".{number:04d}") as mine:
            if mine and not any(parent.glob(f"{number:04d}-*")) and _renamed(aside, folder):
                flush(parent)
                return folder
    raise RunFolderError(f"{parent}: holds 9,999 runs; move some away or give another --out")


@contextmanager
def _claimed(number: Path) -> Iterator[bool]:
    """Whether nobody else takes the number meanwhile: the folders of two seeds have two names.

    A process that is killed just here leaves the claim, and one number is never used.
    """
    try:
        number.mkdir()
    except FileExistsError:
        yield False
        return
    try:
        yield True
    finally:
        number.rmdir()


def _renamed(aside: Path, folder: Path) -> bool:
    """False where another run took the name between the look and the rename."""
    try:
        aside.rename(folder)
    except OSError as error:
        if error.errno in {errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR}:
            return False
        raise
    return True


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except FileExistsError:
        raise RunFolderError(f"{folder}: is a file, not a folder; give another --out") from None


@contextmanager
def occupied(folder: Path, waiting: Callable[[], None] | None = None) -> Iterator[None]:
    """Nobody else runs in `folder` meanwhile. Raises RunFolderError where somebody does, or nobody can.

    With `waiting`, which is then called, another's end is waited for.
    """
    try:
        with lock(folder / ".lock", waiting):
            sweep(folder)
            yield
    except HeldElsewhereError:
        raise RunFolderError(
            f"{folder}: another process runs there; wait for its end, or stop it, before you resume the run"
        ) from None


def write_json(path: Path, data: Mapping[str, Any]) -> None:
    """Write JSON whole or not at all; a number that is not finite, which JSON has not, is null."""
    write_text(path, json.dumps(finite(data), indent=1, ensure_ascii=False, allow_nan=False) + "\n")


def finite(data: Any) -> Any:
    """Plain data with None for every number that is not finite, such as an unbounded PSNR."""
    if isinstance(data, Mapping):
        return {key: finite(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [finite(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data


def write_recipe(folder: Path, text: str, resolved: Mapping[str, Any]) -> None:
    """Keep the recipe as it was written (`text`, "" for one that was given as data) and as understood."""
    understood = as_yaml(resolved)
    write_text(folder / "recipe.yaml", text or understood)
    write_text(folder / "resolved.yaml", understood)


def as_yaml(resolved: Mapping[str, Any]) -> str:
    """A recipe as text, which is read as the same recipe."""
    return yaml.dump(dict(resolved), Dumper=_Dumper, sort_keys=False, allow_unicode=True)


class _Dumper(yaml.SafeDumper):
    """Quotes text such as 1e3, which PyYAML takes for text and recipes for a number, and lines' ends."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if value[:1].isalpha() and value.isprintable() else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def read_run(folder: Path) -> dict[str, Any]:
    """run.json; raises RunFolderError when the folder is no run of this format."""
    path = folder / "run.json"
    try:
        data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise RunFolderError(f"{folder}: not a run folder (it has no run.json)") from None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        found = data.get("format") if isinstance(data, dict) else None
        raise RunFolderError(f"{path}: has format {found!r}; this version reads format {FORMAT}")
    return data


def update_run(folder: Path, **changes: Any) -> None:
    """Change entries of run.json."""
    write_json(folder / "run.json", {**read_run(folder), **changes})


def summarise(folder: Path) -> RunSummary:
    """The run in `folder`, briefly. Raises RunFolderError where its run.json lacks something."""
    run = read_run(folder)
    try:
        return RunSummary(
            folder=folder,
            name=run["name"],
            status=_status(folder, run["status"]),
            step=run["step"],
            total_steps=run["total_steps"],
            started=run["started"],
            figures=run.get("figures", {}).get("final", {}),
            labels=tuple(run.get("labels", ())),
        )
    except (AttributeError, KeyError, TypeError) as error:
        raise RunFolderError(f"{folder / 'run.json'}: is damaged ({error!r})") from error


def _status(folder: Path, told: str) -> str:
    """`killed` for a run that had no time to say how it ended: nobody has its folder's lock."""
    if told != "running" or holder(folder / ".lock") is not False:
        return told
    now: str = read_run(folder)["status"]  # it may have ended meanwhile
    return "killed" if now == "running" else now


def of_job(parent: Path, names: Sequence[str]) -> Iterator[Path]:
    """Runs below `parent` that processes of the job began, the last one first; `names` are the job's."""
    for path in sorted(parent.glob("*/run.json"), reverse=True):
        try:
            record = read_run(path.parent)
        except RunFolderError:
            continue
        job = record.get("job") or ()
        if set(names) & {*([job] if isinstance(job, str) else job)}:
            yield path.parent


def list_runs(root: Path) -> list[RunSummary]:
    """All runs below `root`, by folder; what is no run is passed over."""
    found = []
    for path in sorted(root.glob("*/*/run.json")) + sorted(root.glob("*/run.json")):
        try:
            found.append(summarise(path.parent))
        except RunFolderError:
            continue
    return found
