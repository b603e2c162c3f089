"""The contract of callbacks: a good one passes, and each check finds the one that breaks it, alone."""

from __future__ import annotations

import threading
from pathlib import Path

import faulty_callbacks as faulty
import pytest
import torch

from ambientkit import hookimpl
from ambientkit.testing import (
    CALLBACK_CHECKS,
    CallbackCase,
    ContractError,
    check_callback,
    parametrize_with_checks,
)


@pytest.mark.parametrize("kind", faulty.FAULTY_CALLBACKS, ids=lambda kind: kind.__name__)
def test_a_faulty_callback_is_found_by_one_check(kind):
    try:
        with pytest.raises(ContractError) as caught:
            check_callback(kind())
    finally:
        assert torch.is_grad_enabled(), "the kit puts back what a callback changed"
    assert {failure.check for failure in caught.value.failures} == {faulty.FAULTY_CALLBACKS[kind]}
    assert all(";" in failure.message for failure in caught.value.failures)


def test_every_check_has_a_faulty_callback():
    assert {check.name for check in CALLBACK_CHECKS} == set(faulty.FAULTY_CALLBACKS.values())
    assert all(check.summary for check in CALLBACK_CHECKS)


@parametrize_with_checks({"good": (CALLBACK_CHECKS, lambda: CallbackCase(faulty.GoodCallback()))})
def test_a_good_callback_passes(check):
    check()


def test_nothing_is_left_behind(tmp_path, monkeypatch, capsys):
    class Prints(faulty.GoodCallback):
        @hookimpl
        def on_run_end(self, run, step, outcome):
            print(outcome)

    monkeypatch.chdir(tmp_path)
    check_callback(Prints())
    assert Path.cwd() == tmp_path
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""


def test_a_callback_that_cannot_be_copied_is_used_itself():
    class Locked(faulty.GoodCallback):
        def __init__(self):
            self.lock = threading.Lock()

    check_callback(Locked())
