"""Killed at any moment, as often as you like, a run can be resumed and ends with the same bits.

pytest tests/test_kills.py -m slow                           100 kills
AMBIENTKIT_KILLS=1000 AMBIENTKIT_KILL_SEED=7 pytest tests/test_kills.py -m slow
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import Any

import engine_fakes as fakes
import pytest
from kill_lab import Ended, Lab, Place


def left(place: Place) -> dict[str, Any]:
    """All that is left and may not depend on kills: names of files, weights, terms, figures."""
    run = place.run
    assert run is not None
    record = json.loads((run / "run.json").read_text("utf-8"))
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text("utf-8").splitlines()]
    files = [*place.runs.parent.rglob("*"), *place.cache.rglob("*")]
    return {
        "names": sorted(str(path.relative_to(place.runs.parents[1])) for path in files),
        "record": {key: record[key] for key in record if key not in {"started", "seconds"}},
        "terms": [{key: line[key] for key in line if key != "time"} for line in lines],
        "checkpoints": {path.name: fakes.contents(path) for path in run.glob("checkpoints/step-*")},
        "pointers": [(run / "checkpoints" / name).read_text("utf-8") for name in ("latest", "best")],
        "store": [path.read_bytes() for path in sorted(place.cache.rglob("*.npy"))],
        "rows": json.loads((run / "evaluation" / "evaluation.json").read_text("utf-8"))["rows"],
        "png": (run / "evaluation" / "evaluation.png").read_bytes(),
    }


@dataclass
class Whole:
    """A run that was never killed, and how long it took in operations and seconds."""

    left: dict[str, Any]
    trained: Ended
    evaluated: Ended


@pytest.fixture(scope="module")
def whole(lab) -> Whole:
    place = Place(lab, "whole")
    trained, evaluated = place.go(), place.evaluate()
    assert (trained.code, evaluated.code) == (0, 0), trained.output + evaluated.output
    assert trained.operations > 100
    found = left(place)
    assert {"step-0000004", "step-0000006"} <= found["checkpoints"].keys()
    return Whole(found, trained, evaluated)


def moment(numbers: random.Random, like: Ended) -> dict[str, Any]:
    """Mostly before an operation on files, sometimes by the clock."""
    if numbers.random() < 0.7:
        return {"at": numbers.randint(1, like.operations)}
    return {"after": numbers.uniform(0.0, like.seconds)}


def survive(place: Place, whole: Whole, numbers: random.Random, kills: int) -> Counter[str]:
    """Kill training as often as that, and evaluation once more; what is left is what was left without."""
    killed: Counter[str] = Counter()
    for verb, like, most in (("go", whole.trained, kills), ("evaluate", whole.evaluated, kills + 1)):
        while True:
            aim = moment(numbers, like) if killed.total() < most else {}
            ended = getattr(place, verb)(**aim)
            assert ended.code in {0, -9}, f"{verb} {aim}: {ended.output}"
            if ended.code == 0:
                break
            killed[f"{verb} {'by the clock' if 'after' in aim else 'at an operation'}"] += 1
    found = left(place)
    for what, expected in whole.left.items():
        assert fakes.same(expected, found[what]), f"{what}: {expected} != {found[what]}"
    return killed


def survive_all(lab: Lab, whole: Whole, kills: int, seed: int) -> Counter[str]:
    """As many runs as it takes, each killed a few times."""
    numbers, killed, count = random.Random(seed), Counter(), 0
    while killed.total() < kills:
        place = Place(lab, f"killed-{seed}-{count}")
        killed += survive(
            place, whole, numbers, min(numbers.randint(1, 9), max(1, kills - killed.total() - 1))
        )
        shutil.rmtree(place.runs.parents[1])
        count += 1
    return killed


def test_a_few_kills_change_nothing(lab, whole):
    killed = survive_all(lab, whole, kills=6, seed=1)
    assert killed.total() >= 6


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_many_kills_change_nothing(lab, whole):
    kills, seed = (int(os.environ.get(f"AMBIENTKIT_{name}", "100")) for name in ("KILLS", "KILL_SEED"))
    killed = survive_all(lab, whole, kills, seed)
    print(f"survived: {dict(killed)}")
    assert killed.total() >= kills
    assert len(killed) >= 3 or kills < 50
