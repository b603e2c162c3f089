"""How long one waits for ambientkit: commands that only read, and the quickstart's first step."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from .setting import ROOT

COMMANDS = {
    "python -c pass": ("-c", "pass"),
    "import ambientkit": ("-c", "import ambientkit"),
    "ambientkit --help": ("-m", "ambientkit", "--help"),
    "ambientkit validate celeba_block": ("-m", "ambientkit", "validate", "celeba_block"),
    "import torch": ("-c", "import torch"),
}
"""Python itself and torch stand beside, for what no code of ours can save."""


def commands(repeats: int) -> dict[str, float]:
    """Median seconds of each command, in turn, after a round that reads the files from the disk."""
    rounds = [[_seconds(arguments) for arguments in COMMANDS.values()] for _ in range(repeats + 1)]
    medians = [statistics.median(times) for times in zip(*rounds[1:], strict=True)]
    return dict(zip(COMMANDS, medians, strict=True))


def _seconds(arguments: Sequence[str]) -> float:
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], cwd=ROOT, check=True, capture_output=True)
    return time.perf_counter() - begun


def first_step(repeats: int, *changes: str) -> dict[str, float]:
    """Median seconds from the command to the quickstart's first step.

    `cold`: nothing is measured yet; `warm`: the measured data are found. Both hold the first evaluation.
    """
    times = [_cold_and_warm(changes) for _ in range(repeats)]
    cold, warm = (statistics.median(each) for each in zip(*times, strict=True))
    return {"cold": cold, "warm": warm}


def _cold_and_warm(changes: Sequence[str]) -> tuple[float, float]:
    with tempfile.TemporaryDirectory() as folder:
        return _to_first_step(Path(folder), changes), _to_first_step(Path(folder), changes)


def _to_first_step(folder: Path, changes: Sequence[str]) -> float:
    """By the run's own log, whose lines say when they were written."""
    command = [sys.executable, "-m", "ambientkit", "--quiet", "run", "quickstart"]
    options = [*changes, "train.steps=1", "--out", str(folder / "runs")]
    environment = {**os.environ, "AMBIENTKIT_CACHE": str(folder / "cache")}
    begun = time.time()
    subprocess.run([*command, *options], cwd=ROOT, env=environment, check=True, capture_output=True)
    log = max((folder / "runs").glob("*/*/metrics.jsonl"))
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return float(next(line["time"] for line in lines if line["step"] == 1)) - begun
