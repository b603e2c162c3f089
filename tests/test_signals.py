"""Signals through the command line: a checkpoint within seconds, exit codes, the second one at once."""

from __future__ import annotations

import json
import os
import pty
import signal
import sys
import threading
import time
from contextlib import suppress

import pytest
from engine_fakes import same
from kill_lab import Lab, Place

from ambientkit import signals

SEND = """
import os, threading, time
from ambientkit import evaluation, trainer

def before(owner, name, act):
    plain = getattr(owner, name)
    calls = []
    def wrapped(self, *arguments):
        calls.append(1)
        act(self, len(calls))
        return plain(self, *arguments)
    setattr(owner, name, wrapped)

def send():
    os.kill(os.getpid(), {number})
"""

AT_A_STEP = SEND + "before(trainer.Trainer, 'train_step', lambda self, call: call == 4 and send())"

IN_A_LONG_EVALUATION = (
    SEND
    + """
def slowly(self, call):
    if call == 42:
        send()
    if 42 <= call < 80:
        time.sleep(0.5)
before(evaluation.Completer, '__call__', slowly)
"""
)

TWICE = (
    SEND
    + """
def stuck(self, call):
    if call == 4:
        send()
        threading.Timer(0.5, send).start()
        time.sleep(60)
before(trainer.Trainer, 'train_step', stuck)
"""
)

EXIT = {signal.SIGINT: 130, signal.SIGTERM: 143}


def lines(place: Place) -> list[dict[str, float]]:
    """What metrics.jsonl says, without the times."""
    text = (place.run / "metrics.jsonl").read_text("utf-8")
    return [{**json.loads(line), "time": 0} for line in text.splitlines()]


@pytest.fixture(scope="module")
def whole(lab: Lab) -> Place:
    place = Place(lab, "unsignalled")
    assert place.go().code == 0
    return place


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_run_with_a_checkpoint_and_its_exit_code(lab, whole, number):
    place = Place(lab, f"with {number.name}")  # the command that is printed must be quoted
    ended = place.go(setup=AT_A_STEP.format(number=number))
    assert ended.code == EXIT[number], ended.output
    assert f"stopped at step 4; kept {place.run}/checkpoints/step-0000004" in ended.output
    assert f"go on with: ambientkit resume '{place.run}'" in ended.output
    assert "Traceback" not in ended.output
    assert place.go().code == 0
    assert same(place.weights(), whole.weights())


def test_a_signal_does_not_wait_for_a_long_evaluation_which_is_taken_later(lab):
    """40 pictures one by one, half a second each: the rest of the evaluation would take 19 seconds."""
    one_by_one = ("data.source.count=52", "data.holdout=40", "evaluation.batch_size=1")
    place, other = Place(lab, "evaluating"), Place(lab, "evaluated")
    assert other.go(*one_by_one).code == 0
    ended = place.go(*one_by_one, setup=IN_A_LONG_EVALUATION.format(number=int(signal.SIGTERM)))
    assert ended.code == 143 and "stopped at step 2" in ended.output, ended.output
    assert ended.seconds < 15
    assert place.go().code == 0
    assert same(place.weights(), other.weights()), "figures and the best score are in them too"
    assert lines(place) == lines(other), "the evaluation that was left is there"


def test_a_closed_terminal_ends_the_run_with_a_checkpoint(lab):
    """The system sends SIGHUP, and what is written to the terminal from then on is an error."""
    place = lab.root / "closed"
    process, terminal = pty.fork()
    if process == 0:  # the child, whose terminal it is
        os.environ["AMBIENTKIT_CACHE"] = str(place / "cache")
        words = ["run", str(lab.root / "tiny.yaml"), "train.steps=100000", "--out", str(place)]
        os.execv(sys.executable, [sys.executable, "-m", "ambientkit", *words])
    threading.Thread(target=drained, args=(terminal,), daemon=True).start()
    (log,) = wait_for(lambda: list(place.glob("tiny/*/metrics.jsonl")))
    wait_for(lambda: log.read_text().count("\n") > 10)
    os.kill(process, signal.SIGSTOP)  # so that the terminal is gone before the next step is told
    os.close(terminal)
    os.kill(process, signal.SIGCONT)
    _, status = wait_for(lambda: (found := os.waitpid(process, os.WNOHANG))[0] and found)
    assert os.waitstatus_to_exitcode(status) == 128 + signal.SIGHUP
    record = json.loads((log.parent / "run.json").read_text())
    assert record["status"] == "interrupted" and record["step"] > 3
    assert (log.parent / "checkpoints" / f"step-{record['step']:07d}").is_dir()


def drained(terminal: int) -> None:
    """A terminal that nobody reads is full after a while, and its program waits."""
    with suppress(OSError):
        while os.read(terminal, 4096):
            pass


def wait_for(condition, seconds: float = 90):
    """What the condition returns, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_under_nohup_a_closed_terminal_is_ignored(monkeypatch):
    monkeypatch.setattr(signal, "getsignal", lambda number: signal.SIG_IGN)
    changed = []
    monkeypatch.setattr(signal, "signal", lambda number, handler: changed.append(number))
    with signals.noted():
        pass
    assert signal.SIGHUP not in changed and signal.SIGTERM in changed


def test_a_second_signal_ends_the_run_at_once_and_the_last_checkpoint_is_there(lab, whole):
    place = Place(lab, "twice")
    ended = place.go(setup=TWICE.format(number=int(signal.SIGINT)))
    assert ended.code == -signal.SIGINT and ended.seconds < 30, ended.output
    assert place.go().code == 0
    assert same(place.weights(), whole.weights())
