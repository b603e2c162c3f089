"""A plugin that raises, leaves or hangs is named with what was called; nobody sees a traceback."""

from __future__ import annotations

import json
import logging
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml
from click.testing import CliRunner
from engine_recipes import tiny

from ambientkit import Dataset, hookimpl, watchdog
from ambientkit.cli import main
from ambientkit.containment import blame, contained
from ambientkit.data_check import require_sound
from ambientkit.errors import RunError
from ambientkit.plugins import Named, Plugins, lifecycle

FAULTY = '''
import sys
from ambientkit import Component, Measurement, Options, hookimpl

AMBIENTKIT_HOOK_API = 1


def fault(place):
    if place == "{place}":
        {how}


fault("import")


class HazeOptions(Options):
    """A veil that goes wrong."""

    def facts(self):
        fault("facts")
        return frozenset({{"random"}})

    def complaints(self, context):
        fault("complaints")
        return ()


class Haze(Measurement):
    def sample(self, n, image_shape, generator):
        import torch
        fault("sample")
        return {{"haze": torch.rand(n, 1, 1, 1, generator=generator, device=generator.device)}}

    def measure(self, images, theta):
        fault("measure")
        return images * theta["haze"]

    def known(self, theta):
        fault("known")
        return None


class WatchOptions(Options):
    """An observer that goes wrong."""


class Watch:
    @hookimpl
    def on_run_start(self, run):
        fault("on_run_start")

    @hookimpl
    def on_step_end(self, run, report):
        fault("on_step_end")

    @hookimpl
    def on_evaluation(self, run, step, figures):
        fault("on_evaluation")

    @hookimpl
    def on_checkpoint(self, run, step, folder):
        fault("on_checkpoint")

    @hookimpl
    def on_run_end(self, run, step, outcome):
        fault("on_run_end")


def build(options, context):
    fault("build")
    return Haze()


@hookimpl
def register_measurements():
    fault("register_measurements")
    yield Component("haze", HazeOptions, build)


@hookimpl
def register_callbacks():
    yield Component("watch", WatchOptions, lambda options, context: Watch())
'''
HOW = {"raises": "raise ValueError('boom')", "leaves": "sys.exit(0)", "gives up": "raise SystemExit"}
LOADING = ("import", "register_measurements")
BEFORE = ("facts", "complaints", "build", "sample", "known", "measure")
HOOKS = ("on_run_start", "on_step_end", "on_evaluation", "on_checkpoint", "on_run_end")
NAMED = {"import": "faulty.py", "facts": "faulty/haze", "complaints": "faulty/haze", "build": "faulty/haze"}
"""What names the plugin where not the function, but the component is told."""


def write(folder: Path, place: str, how: str) -> list[str]:
    """The arguments that run a recipe with a plugin which does so at that place."""
    (folder / "faulty.py").write_text(FAULTY.format(place=place, how=HOW[how]))
    recipe = tiny(
        measurement={"kind": "faulty/haze"},
        composite=False,
        generator={"kind": "glcic", "width": 4, "dilations": [1, 2, 2, 2], "mask_channel": False},
        discriminator={"kind": "dcgan", "width": 4, "mask_channel": False},
        callbacks=[{"kind": "faulty/watch"}],
        metrics=[{"kind": "composited_psnr"}],
        train={"steps": 1, "batch_size": 4},
    )
    (folder / "r.yaml").write_text(yaml.safe_dump(recipe))
    return ["-q", "run", "r.yaml", "--plugin", "faulty.py", "--out", "runs", "--device", "cpu"]


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AMBIENTKIT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_the_plugin_works_where_nothing_goes_wrong(place):
    done = CliRunner().invoke(main, write(place, "nowhere", "raises"))
    assert done.exit_code == 0, done.output


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("where", [*LOADING, *BEFORE, *HOOKS])
def test_a_plugin_that_fails_anywhere_is_named_and_contained(place, where, how):
    done = CliRunner().invoke(main, write(place, where, how))
    assert done.exit_code in (1, 2), done.output
    assert "Traceback" not in done.output and "bug in ambientkit" not in done.output
    assert ("boom" if how == "raises" else "SystemExit") in done.output
    assert "faulty" in done.output and NAMED.get(where, where) in done.output
    records = [json.loads(path.read_text("utf-8")) for path in place.glob("runs/*/*/run.json")]
    assert [record["status"] for record in records] == (["failed"] if where in HOOKS else [])
    assert done.exit_code == (1 if where in HOOKS else 2)


def test_the_line_in_the_plugin_is_told_and_the_traceback_is_in_the_runs_log(place):
    done = CliRunner().invoke(main, write(place, "on_step_end", "raises"))
    line = FAULTY.partition("{how}")[0].count("\n") + 1
    assert f"the callback faulty/watch (file {place / 'faulty.py'}) failed in on_step_end" in done.output
    assert f"faulty.py:{line}" in done.output
    (log,) = place.glob("runs/*/*/log.txt")
    assert "Traceback" in log.read_text("utf-8")


def test_a_sensor_that_fails_in_training_ends_the_run_and_is_named(place):
    arguments = write(place, "measure", "raises")
    text = (place / "faulty.py").read_text()
    (place / "faulty.py").write_text(
        text.replace('fault("measure")', 'images.requires_grad and fault("measure")')
    )
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 1, done.output
    assert f"the plugin file {place / 'faulty.py'} failed in measure: ValueError: boom" in done.output


def test_a_ctrl_c_in_a_plugin_is_the_users(place):
    arguments = write(place, "on_step_end", "raises")
    text = (place / "faulty.py").read_text()
    (place / "faulty.py").write_text(text.replace("raise ValueError('boom')", "raise KeyboardInterrupt"))
    assert CliRunner().invoke(main, arguments).exit_code == 130


@pytest.mark.parametrize("how", HOW)
def test_check_plugin_tells_a_failure_of_a_check_and_does_not_leave(place, how):
    write(place, "measure", how)
    done = CliRunner().invoke(main, ["-q", "check-plugin", "faulty.py"])
    assert done.exit_code == 1 and "Traceback" not in done.output
    assert "measurement/faulty/haze (defaults): " in done.output
    assert ("boom" if how == "raises" else "SystemExit") in done.output
    assert "callback/faulty/watch" in done.output, "what comes after it is checked too"


# Whose code it was ------------------------------------------------------------------------------


def test_what_no_plugin_raised_is_nobodys_fault():
    entries = list(Plugins.discover(discover=False).registry)
    assert len(entries) > 20
    with pytest.raises(ZeroDivisionError) as caught, contained(entries):
        _ = 1 / 0
    assert blame(caught.value, entries) is None


def test_a_built_in_that_raises_is_named(engine):
    sensor = engine.build("measurement", "block_patch", size=3)
    told = r"the plugin built-in \(entry point masks\) failed in sample"
    with pytest.raises(RunError, match=told), contained(engine.plugins.registry):
        sensor.sample(None, (3, 8, 8), None)


class Torn(Dataset):
    """A data set that is no file's: its class stands here, or in a cell, and its plugin elsewhere."""

    image_shape, keys, fingerprint = (1, 4, 4), ("a",), "f"

    def images(self, indices):
        raise ValueError("disk gone")


def test_a_component_that_is_written_elsewhere_than_its_plugin_is_named(engine):
    told = r"the plugin Torn failed in images: ValueError: disk gone \(.*test_containment\.py:\d+\)"
    with pytest.raises(RunError, match=told), contained(engine.plugins.registry):
        require_sound(Torn(), None)


# The watchdog -----------------------------------------------------------------------------------


class Slow:
    """Waits in a hook until it is told that it was named."""

    def __init__(self) -> None:
        self.named = threading.Event()

    @hookimpl
    def on_step_end(self, run, report):
        assert self.named.wait(20)


def test_a_callback_that_hangs_is_named_with_its_hook_and_its_line(monkeypatch):
    monkeypatch.setattr(watchdog, "PATIENCE", 0.05)
    slow, told = Slow(), []

    class Listening(logging.Handler):
        def emit(self, record):
            told.append(record)
            slow.named.set()

    handler = Listening(logging.WARNING)
    watchdog.log.addHandler(handler)
    try:
        lifecycle([Named(slow, "fog/slow (file fog.py)")]).hook.on_step_end(run=None, report=None)
    finally:
        watchdog.log.removeHandler(handler)
    (record,) = told
    message = record.getMessage()
    assert message.startswith(
        "the callback fog/slow (file fog.py) in on_step_end has not come back for 0.05 s"
    )
    assert record.levelno == logging.WARNING and f" (at {threading.__file__}:" in message


def test_a_callback_that_comes_back_is_not_named_and_leaves_no_thread(caplog):
    quick = Named(SimpleNamespace(on_step_end=hookimpl(lambda report: None)), "fog/quick (file fog.py)")
    before = set(threading.enumerate())
    lifecycle([quick]).hook.on_step_end(run=None, report=None)
    timers = [thread for thread in set(threading.enumerate()) - before if isinstance(thread, threading.Timer)]
    for timer in timers:
        timer.join(watchdog.PATIENCE / 3)
    assert not any(timer.is_alive() for timer in timers)
    assert "fog/quick" not in caplog.text
