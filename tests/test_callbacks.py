"""The observers, told of a run by hand."""

import errno
import json
import logging
import sys

import pluggy
import pytest
import torch
from ambientkit_plugins.callbacks import register_callbacks
from ambientkit_plugins.callbacks.grid import as_picture, columns, grid
from PIL import Image

from ambientkit import Context, Evaluated
from ambientkit.errors import PluginError
from ambientkit.hookspecs import Lifecycle
from ambientkit.interfaces import RunInfo


class Report:
    def __init__(self, step):
        self.step = step
        self.asked = []

    def terms(self):
        self.asked.append("terms")
        return {"discriminator/real": self.step / 10, "generator/adversarial": float("nan")}

    def samples(self, count):
        self.asked.append(count)
        return samples(count)


def samples(n, channels=3, truth=True):
    y = torch.ones(n, channels, 8, 6)
    made, completed = torch.zeros_like(y), torch.full_like(y, 0.5)
    return Evaluated(y, None, made, completed, -torch.ones_like(y) if truth else None)


def told(kind, folder, *, first=0, steps=6, stop=None, **options):
    """Build a callback, tell it of steps first+1..stop (with an evaluation at step 4), return the reports."""
    component = {c.kind: c for c in register_callbacks()}[kind]
    manager = pluggy.PluginManager("ambientkit")
    manager.add_hookspecs(Lifecycle)
    manager.register(component.build(component.options(**options), Context()))
    manager.check_pending()
    run = RunInfo("tiny", folder, {}, total_steps=steps, batch_size=2, first_step=first)
    manager.hook.on_run_start(run=run)
    reports = [Report(step) for step in range(first + 1, (stop or steps) + 1)]
    for report in reports:
        manager.hook.on_step_end(run=run, report=report)
        if report.step == 4:
            manager.hook.on_evaluation(run=run, step=4, figures={"hidden_psnr": 17.25})
            manager.hook.on_checkpoint(run=run, step=4, folder=folder / "checkpoints")
    manager.hook.on_run_end(run=run, step=reports[-1].step, outcome="finished")
    return reports


def lines(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_jsonl_writes_terms_and_figures(tmp_path):
    reports = told("jsonl", tmp_path, every=2)
    found = lines(tmp_path)
    assert [line["step"] for line in found] == [1, 2, 4, 4, 6]
    assert all(line["time"] > 0 for line in found)
    assert found[1]["discriminator/real"] == 0.2
    assert found[1]["generator/adversarial"] is None  # JSON has no NaN
    assert found[3]["hidden_psnr"] == 17.25
    assert [bool(report.asked) for report in reports] == [True, True, False, True, False, True]


def test_jsonl_of_a_resumed_run_repeats_and_loses_nothing(tmp_path):
    told("jsonl", tmp_path, every=1, stop=5)
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 6, "ti')  # killed while writing
    before = (tmp_path / "metrics.jsonl").read_text().splitlines()
    told("jsonl", tmp_path, every=1, first=4)
    after = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert after[:5] == before[:5]
    assert [json.loads(line)["step"] for line in after] == [1, 2, 3, 4, 4, 5, 6]


def test_jsonl_of_a_run_that_begins_again_begins_again(tmp_path):
    told("jsonl", tmp_path, every=3)
    told("jsonl", tmp_path, every=3)
    assert [line["step"] for line in lines(tmp_path)] == [1, 3, 4, 6]


def test_grids_are_written_when_due(tmp_path):
    reports = told("image_grid", tmp_path, every=4, count=3)
    names = sorted(path.name for path in (tmp_path / "samples").iterdir())
    assert names == ["step-0000001.png", "step-0000004.png", "step-0000006.png"]
    assert [report.asked for report in reports] == [[3], [], [], [3], [], [3]]
    with Image.open(tmp_path / "samples" / names[0]) as picture:
        assert picture.mode == "RGB"
        assert picture.size == (4 * (6 + 2) + 2, 3 * (8 + 2) + 2)
        assert [picture.getpixel((8 * column + 4, 5))[0] for column in range(4)] == [255, 128, 191, 0]


def test_columns_show_what_is_there():
    assert len(columns(samples(2))) == 4
    assert len(columns(samples(2, truth=False))) == 3
    same = torch.zeros(2, 3, 8, 6)
    assert len(columns(Evaluated(same, None, same, same))) == 2


def test_measurements_that_are_no_pictures_are_shown_as_strips():
    made = torch.zeros(2, 3, 8, 6)
    angles = torch.zeros(2, 1, 2, 12).index_fill(3, torch.tensor([0]), 5.0)
    angles[:, :, 1] = angles[:, :, 1].flip(-1)
    strip, _ = columns(Evaluated(angles, None, made, made))
    assert strip.shape == (2, 1, 8, 6)
    assert strip[0, 0].tolist() == [[1.0] + [-1.0] * 5] * 4 + [[-1.0] * 5 + [1.0]] * 4
    vector, _ = columns(Evaluated(torch.arange(12.0).expand(2, 12), None, made, made))
    assert vector[0, 0, 0].tolist() == pytest.approx([-1, -0.6, -0.2, 0.2, 0.6, 1], abs=1e-6)
    assert as_picture(torch.zeros(2, 5), (8, 6)).isfinite().all()  # a measurement without contrast
    small = torch.rand(2, 3, 4, 3)  # of another size: rows of all channels
    assert as_picture(small, (8, 6)).shape == (2, 1, 8, 6)
    assert grid(columns(Evaluated(angles, None, made, made))).shape[0] == 3


@pytest.mark.parametrize(("channels", "shown"), [(1, 1), (3, 3), (5, 1)])
def test_grids_of_any_number_of_channels(channels, shown):
    sheet = grid(columns(samples(2, channels)))
    assert sheet.dtype == torch.uint8
    assert sheet.shape == (shown, 2 * 10 + 2, 4 * 8 + 2)


@pytest.fixture
def stderr(capsys):
    logger = logging.getLogger("ambientkit.console")
    logger.setLevel(logging.INFO)
    yield lambda: capsys.readouterr().err
    logger.setLevel(logging.NOTSET)


def test_console_says_plain_lines_where_there_is_no_terminal(tmp_path, stderr):
    reports = told("console", tmp_path, every=4)
    said = stderr().splitlines()
    assert len(said) == 5
    assert said[0].startswith("step 4/6  ")
    assert "pictures/s" in said[0]
    assert "left" in said[0]
    assert "discriminator/real 0.4" in said[0]
    assert said[1] == "step 4  hidden_psnr 17.25"
    assert said[2].startswith("step 4  checkpoint ")
    assert said[3].startswith("step 6/6")
    assert said[4] == "finished at step 6/6"
    assert [bool(report.asked) for report in reports] == [False, False, False, True, False, True]


@pytest.mark.parametrize("columns", ["80", "160"])
def test_console_draws_a_bar_on_a_terminal(tmp_path, stderr, monkeypatch, columns):
    """And the terms below it, which have room in 80 columns."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", columns)
    told("console", tmp_path, every=1)
    said = stderr()
    shown = ("6/6", "pictures/s", "discriminator/real 0.6", "hidden_psnr 17.25")
    assert all(part in said for part in shown)


def test_a_terminal_that_is_gone_ends_what_is_shown_and_not_the_run(tmp_path, stderr, monkeypatch):
    def gone(self, *words, **how):
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("rich.console.Console.print", gone)
    assert len(told("console", tmp_path, every=1)) == 6
    assert stderr() == ""

    def full(self, *words, **how):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("rich.console.Console.print", full)
    with pytest.raises(OSError, match="No space"):
        told("console", tmp_path, every=1)


def test_console_is_silent_where_its_logger_is(tmp_path, stderr):
    logging.getLogger("ambientkit.console").setLevel(logging.WARNING)
    reports = told("console", tmp_path, every=1)
    assert stderr() == ""
    assert not any(report.asked for report in reports)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tensorboard_writes_events(tmp_path):
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    told("tensorboard", tmp_path, every=3)
    read = EventAccumulator(str(tmp_path / "tensorboard"))
    read.Reload()
    assert [event.step for event in read.Scalars("discriminator/real")] == [1, 3, 6]
    assert [(event.step, event.value) for event in read.Scalars("hidden_psnr")] == [(4, 17.25)]


def test_without_tensorboard_it_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(PluginError, match=r"pip install 'ambientkit\[tensorboard\]'"):
        told("tensorboard", tmp_path)


def test_listing_the_callbacks_tells_of_all_four():
    assert [c.kind for c in register_callbacks()] == ["console", "image_grid", "jsonl", "tensorboard"]
    assert all(component.summary for component in register_callbacks())
    assert all(component.options().facts() == frozenset() for component in register_callbacks())
