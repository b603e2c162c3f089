"""The benchmarks run, and leave nothing out."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys

import pytest
from docs_tables import ROOT

from ambientkit import Engine


@pytest.fixture(scope="module")
def sensors():
    spec = importlib.util.spec_from_file_location("bench_sensors", ROOT / "benchmarks/sensors.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_sensor_is_timed_against_a_budget(sensors):
    kinds = {k for k in Engine(discover=False).plugins.registry.names("measurement") if "/" not in k}
    rows = sensors.rows(batch=2, repeats=1)
    assert {row.kind for row in rows} | set(sensors.NOT_TIMED) == kinds
    assert {row.kind for row in rows} == set(sensors.MILLISECONDS) | set(sensors.RESTS_ON)
    assert all(row.budget > 0 and row.median >= 0 for row in rows)
    assert not sensors.Row("slow", median=6.0, budget=5.0).kept


def test_figures_are_printed_and_kept(sensors, tmp_path, monkeypatch, capsys):
    slow = sensors.Row("slow", 6.0, 5.0, "round", 3.6)
    monkeypatch.setattr(sensors, "rows", lambda batch, repeats: [slow])
    monkeypatch.setattr(sys, "argv", ["sensors.py", "--out", str(tmp_path / "figures.json")])
    assert sensors.main() == 1
    assert "TOO SLOW" in capsys.readouterr().out
    kept = json.loads((tmp_path / "figures.json").read_text())
    assert kept["rows"][0]["ratio"] == 3.6 and kept["threads"] == 1


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_memory_does_not_grow_with_the_pictures_that_were_measured_or_read():
    """In a process of its own; the first fifth holds what is made once."""
    command = [sys.executable, str(ROOT / "benchmarks/memory.py"), "--pictures", "30000"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=200)
    found = json.loads(done.stdout)
    assert len(found["measuring"]) >= 4 and len(found["training"]) == 5
    for megabytes in (found["measuring"], found["training"]):
        assert max(megabytes[1:]) - megabytes[0] < 4


def test_an_epoch_is_timed_from_end_to_end(tmp_path):
    size = ["--pictures", "64", "--batch", "4", "--steps", "22", "--width", "4", "--shrink-peaks", "16"]
    command = [sys.executable, "-m", "benchmarks.epoch", *size, "--out", str(tmp_path / "epoch.json")]
    subprocess.run(command, check=True, timeout=200, cwd=ROOT)
    kept = json.loads((tmp_path / "epoch.json").read_text())
    row = kept["batch 4, compile off"]
    assert row["steps"] == 2 and row["gflop_a_step"] > 0 and 0 < row["share_of_peak"] < 1
    assert row["pictures_a_second"] == pytest.approx(4000 / row["ms_a_step"])
