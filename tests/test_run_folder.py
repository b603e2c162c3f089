"""The run folder: numbered, written whole, read with plain errors."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from ambientkit import durable, run_folder
from ambientkit.errors import RunFolderError
from ambientkit.recipe_yaml import parse

RUN = {
    "format": 1,
    "name": "x",
    "status": "finished",
    "step": 5,
    "total_steps": 5,
    "started": "2026-01-01T00:00:00+00:00",
    "figures": {"final": {"psnr": 20.0}, "untrained": {"psnr": 5.0}},
    "labels": ["fresh"],
}


def test_folders_are_numbered_and_never_used_twice(tmp_path):
    names = [run_folder.create(tmp_path, "x", seed).name for seed in (0, 0, 7)]
    assert names == ["0001-seed0", "0002-seed0", "0003-seed7"]
    (tmp_path / "x" / "0041-mine").mkdir()
    (tmp_path / "x" / "20240101-backup").mkdir()
    assert run_folder.create(tmp_path, "x", 0).name == "0042-seed0"


def test_two_seeds_begun_at_once_get_two_numbers(tmp_path):
    """Each has looked for what is taken before the other takes it."""
    looked = threading.Barrier(2)
    with ThreadPoolExecutor(2) as pool:
        folders = pool.map(
            lambda seed: run_folder.create(tmp_path, "x", seed, lambda _: looked.wait()), (0, 1)
        )
    assert {folder.name[:4] for folder in folders} == {"0001", "0002"}
    assert len(list((tmp_path / "x").iterdir())) == 2


def test_a_number_that_another_process_is_about_to_take_is_left_to_it(tmp_path, monkeypatch):
    renamed = run_folder._renamed
    others = iter([1])

    def another_first(aside, folder):
        for seed in others:
            assert run_folder.create(tmp_path, "x", seed).name == "0002-seed1"
        return renamed(aside, folder)

    monkeypatch.setattr(run_folder, "_renamed", another_first)
    assert run_folder.create(tmp_path, "x", 0).name == "0001-seed0"


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "x").write_text("", "utf-8")
    with pytest.raises(RunFolderError, match=r"x: is a file, not a folder; give another --out"):
        run_folder.create(tmp_path, "x", 0)
    with pytest.raises(RunFolderError, match=r"cannot make a run folder there .*give another --out"):
        run_folder.create(tmp_path / "x" / "deeper", "y", 0)


def test_a_full_folder_is_said(tmp_path):
    (tmp_path / "x" / "9999-seed0").mkdir(parents=True)
    with pytest.raises(RunFolderError, match="holds 9,999 runs"):
        run_folder.create(tmp_path, "x", 0)


def test_text_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "a.txt"
    run_folder.write_text(file, "old")
    monkeypatch.setattr("os.fsync", lambda descriptor: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        run_folder.write_text(file, "new")
    assert file.read_text("utf-8") == "old"


def test_the_recipe_is_kept_as_written_and_as_understood(tmp_path):
    run_folder.write_recipe(tmp_path, "# mine\nname: x\n", {"name": "x", "lr": 1e-8})
    assert (tmp_path / "recipe.yaml").read_text("utf-8").startswith("# mine")
    assert yaml.safe_load((tmp_path / "resolved.yaml").read_text("utf-8")) == {"name": "x", "lr": 1e-8}
    run_folder.write_recipe(tmp_path, "", {"name": "x"})
    assert yaml.safe_load((tmp_path / "recipe.yaml").read_text("utf-8")) == {"name": "x"}


def test_entries_of_a_run_are_changed_and_the_others_kept(tmp_path):
    run_folder.write_json(tmp_path / "run.json", RUN)
    run_folder.update_run(tmp_path, step=9)
    assert run_folder.read_run(tmp_path) == {**RUN, "step": 9}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "not a run folder"),
        ("{", "cannot be read"),
        ("[]", "has format None; this version reads format 1"),
        (json.dumps({**RUN, "format": 2}), "has format 2; this version reads format 1"),
    ],
)
def test_what_is_no_run_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "run.json").write_text(text, "utf-8")
    with pytest.raises(RunFolderError, match=message):
        run_folder.read_run(tmp_path)


def test_runs_are_listed_with_their_figures_and_labels(tmp_path):
    for name in ("a/0001-seed0", "b/0001-seed0", "single"):
        (tmp_path / name).mkdir(parents=True)
        run_folder.write_json(tmp_path / name / "run.json", RUN)
    (tmp_path / "a" / "0002-seed0").mkdir()
    (tmp_path / "a" / "0002-seed0" / "run.json").write_text("{", "utf-8")
    found = run_folder.list_runs(tmp_path)
    assert [str(run.folder.relative_to(tmp_path)) for run in found] == [
        "a/0001-seed0",
        "b/0001-seed0",
        "single",
    ]
    assert (found[0].figures, found[0].labels) == ({"psnr": 20.0}, ("fresh",))
    assert run_folder.list_runs(tmp_path / "nothing") == []


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks there")
def test_a_run_that_had_no_time_to_say_its_end_was_killed(tmp_path):
    run_folder.write_json(tmp_path / "run.json", {**RUN, "status": "running"})
    with run_folder.occupied(tmp_path):
        assert run_folder.summarise(tmp_path).status == "running"
    assert run_folder.summarise(tmp_path).status == "killed"
    assert not (tmp_path / ".lock").exists()
    (tmp_path / ".lock").touch()  # which a dead holder leaves
    assert run_folder.summarise(tmp_path).status == "killed"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks there")
def test_where_locks_say_nothing_a_run_is_what_it_says(tmp_path, monkeypatch):
    run_folder.write_json(tmp_path / "run.json", {**RUN, "status": "running"})
    (tmp_path / ".lock").touch()
    monkeypatch.setattr(durable.fcntl, "flock", lambda *_: (_ for _ in ()).throw(OSError("no locks")))
    assert run_folder.summarise(tmp_path).status == "running"


def test_a_run_that_ends_while_it_is_looked_at_was_not_killed(tmp_path, monkeypatch):
    run_folder.write_json(tmp_path / "run.json", {**RUN, "status": "running"})

    def ends(path):
        run_folder.write_json(tmp_path / "run.json", RUN)
        return False

    monkeypatch.setattr(run_folder, "holder", ends)
    assert run_folder.summarise(tmp_path).status == "finished"


@pytest.mark.skipif(sys.platform == "win32", reason="there are no locks there")
def test_who_looks_is_in_nobodys_way(tmp_path):
    with durable.lock(tmp_path / "lock"):
        pass
    (tmp_path / "lock").touch()
    looking = os.open(tmp_path / "lock", os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    threading.Timer(0.02, os.close, (looking,)).start()
    with durable.lock(tmp_path / "lock"):
        assert durable.holder(tmp_path / "lock")


def test_listing_runs_imports_no_torch():
    code = "import sys, ambientkit.run_folder; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_text_that_looks_like_a_number_stays_text(tmp_path):
    """PyYAML writes 1e3 and 0o7 unquoted, and recipes read them as numbers."""
    resolved = {"name": "1e3", "root": "0o7", "other": ".5", "plain": "faces", "on": "on", "n": 3, "lr": 2e-4}
    run_folder.write_recipe(tmp_path, "", resolved)
    assert parse((tmp_path / "resolved.yaml").read_text("utf-8"), "f").plain() == resolved


def test_numbers_that_json_has_not_are_null(tmp_path):
    """Infinity and NaN are no JSON: browsers and other readers refuse the whole file."""
    run_folder.write_json(
        tmp_path / "a.json", {"psnr": float("inf"), "rows": [[float("nan"), 1.5], ("a", None)]}
    )
    text = (tmp_path / "a.json").read_text("utf-8")
    refuse = lambda name: pytest.fail(f"{name} is no JSON")  # noqa: E731
    assert json.loads(text, parse_constant=refuse) == {"psnr": None, "rows": [[None, 1.5], ["a", None]]}
