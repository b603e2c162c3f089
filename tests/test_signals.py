"""Signals through the command line: a checkpoint within seconds, exit codes, the second one at once."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

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


@pytest.mark.parametrize("through", ["", " 2>&1 | cat"], ids=["terminal", "pipe"])
def test_a_closed_terminal_ends_the_run_with_a_checkpoint(lab, through):
    """Its shell sends SIGHUP and so does the system, and what is written there from then on is an error."""
    place = lab.root / f"closed {len(through)}"
    talking = "'callbacks=[{kind: console, every: 1}, {kind: jsonl, every: 1}]'"
    words = f"run '{lab.root / 'tiny.yaml'}' train.steps=100000 {talking} --out '{place}'{through}"
    process, terminal = pty.fork()
    if process == 0:  # the child, whose terminal it is
        os.environ["AMBIENTKIT_CACHE"] = str(place / "cache")
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # these tests may be run under nohup
        os.execvp("bash", ["bash", "--norc", "-i"])
    os.write(terminal, f"{sys.executable} -m ambientkit {words}\n".encode())
    with drained(terminal):
        (log,) = wait_for(lambda: list(place.glob("tiny/*/metrics.jsonl")))
        wait_for(lambda: log.read_text().count("\n") > 10)
    os.close(terminal)
    run = log.parent / "run.json"
    wait_for(lambda: json.loads(run.read_text())["status"] != "running")
    record = json.loads(run.read_text())
    assert record["status"] == "interrupted" and record["step"] > 3, record.get("error")
    assert (log.parent / "checkpoints" / f"step-{record['step']:07d}").is_dir()
    os.waitpid(process, 0)


@contextmanager
def drained(terminal: int) -> Iterator[None]:
    """Read what comes: a terminal that nobody reads is full after a while, and its program waits."""
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            if select.select([terminal], [], [], 0.02)[0]:
                os.read(terminal, 4096)

    reader = threading.Thread(target=read, daemon=True)
    reader.start()
    yield
    stop.set()
    reader.join()


def wait_for(condition, seconds: float = 90):
    """What the condition returns, once it is true."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


@pytest.mark.parametrize(("terminal", "rank", "told"), [(True, "0", 1), (False, "0", 0), (True, "1", 0)])
def test_control_c_is_acknowledged_on_a_terminal(monkeypatch, terminal, rank, told):
    written = []
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setattr(signals.os, "isatty", lambda stream: terminal)
    with signals.noted() as asked:
        monkeypatch.setattr(signals.os, "write", lambda stream, text: written.append((stream, text)))
        signal.raise_signal(signal.SIGINT)
        monkeypatch.undo()
    assert asked == [signal.SIGINT] and written == [(2, signals.ACKNOWLEDGED)] * told


CLOSED = """
import signal, sys
from ambientkit.errors import Interrupted
from ambientkit.signals import interrupting
signal.signal(signal.SIGHUP, signal.{before})
try:
    with interrupting():
        print("working", flush=True)
        sys.stdin.read()
except Interrupted as error:
    print("told to nobody", file=sys.stderr, flush=True)
    signal.raise_signal(signal.SIGHUP)
    sys.exit(error.exit_code)
"""


@pytest.mark.parametrize(("before", "code"), [("SIG_DFL", 129), ("SIG_IGN", 0)])
def test_a_closed_terminal_interrupts_other_work_unless_it_is_ignored(before, code):
    """What is then said goes nowhere, and the second SIGHUP, of the shell, ends nothing before that."""
    program = CLOSED.format(before=before)
    words = [sys.executable, "-c", program]
    with subprocess.Popen(
        words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as work:
        assert work.stdout.readline() == b"working\n"
        work.stdout.close()
        work.stderr.close()
        work.send_signal(signal.SIGHUP)
        work.stdin.close()
        assert work.wait(60) == code


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
