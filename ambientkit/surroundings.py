"""What surrounds a run: other processes, its folder's lock, its log, how it ended. Imports no torch."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ambientkit import run_folder
from ambientkit.errors import AmbientkitError, Interrupted, RunFolderError
from ambientkit.mishaps import explained
from ambientkit.processes import expected
from ambientkit.recipe import Plan

if TYPE_CHECKING:
    import torch

    from ambientkit.machine import Machine
    from ambientkit.trainer import Trainer

log = logging.getLogger("ambientkit")


def met(device: str | torch.device, precision: str, compile: str) -> Machine:
    """The machine of this process, in touch with the other processes of the run."""
    import torch

    from ambientkit.group import join
    from ambientkit.machine import choose

    machine = choose(device, precision, compile)
    if machine.device.type == "cuda" and expected() > 1:
        torch.cuda.set_device(machine.device)  # what is not told where to be is not all on the first one
    return replace(machine, group=join(machine.device))


def occupied(run: Path, machine: Machine) -> AbstractContextManager[None]:
    """No other run may work in the folder; of the processes of one, the first speaks for all.

    Where torchrun has started all anew, the first one's former self may still be on its way out.
    """
    if not machine.group.leads:
        return nullcontext()
    return run_folder.occupied(run, partial(_say_waiting, run) if machine.group.restarted else None)


def _say_waiting(run: Path) -> None:
    log.info("%s: waiting for the process that worked there before", run)


def begin_at(
    run: Path, name: str | int, plan: Plan, as_now: Callable[[Mapping[str, Any]], Mapping[str, Any]]
) -> Path | None:
    """The checkpoint to go on from; None where the run never came to one, and begins with step 0.

    `as_now` is how this version understands a recipe of an earlier one: options that came since have their
    defaults, in the checkpoint's recipe as in the run's.
    """
    from ambientkit import checkpoints
    from ambientkit.resumption import require_same_recipe

    if name == "latest" and not checkpoints.begun(run):
        log.info("%s has no checkpoint yet: it begins with step 0", run)
        return None
    path = checkpoints.find(run, name)
    require_same_recipe(as_now(checkpoints.read_meta(path)["recipe"]), plan)
    return path


@contextmanager
def status_kept(trainer: Trainer) -> Iterator[None]:
    """Write into run.json how a run that did not finish ended, and add up the seconds of its attempts."""
    record = run_folder.read_run(trainer.folder)
    before = record.get("seconds", 0.0)
    begun = time.monotonic()
    run_folder.update_run(trainer.folder, status="running", error=None, seconds=before)
    try:
        yield
    except BaseException as error:
        status = "interrupted" if isinstance(error, Interrupted | KeyboardInterrupt) else "failed"
        plain = explained(error, trainer.folder) or error
        log.error("%s: %s", status, plain if isinstance(plain, AmbientkitError) else repr(plain))
        try:
            seconds = round(before + time.monotonic() - begun, 1)
            run_folder.update_run(
                trainer.folder, status=status, step=trainer.step, error=str(plain), seconds=seconds
            )
        except (OSError, RunFolderError):
            log.error("run.json could not be updated")
        raise


class _RunLog(logging.FileHandler):
    """A log that ends no run: a disk that is full is told of by what must be written."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Nothing; the default prints a traceback."""


@contextmanager
def fitting(path: Path) -> Iterator[None]:
    """A checkpoint from elsewhere may hold anything: what does not fit is a RunFolderError."""
    try:
        yield
    except AmbientkitError:
        raise
    except Exception as error:
        raise RunFolderError(f"{path}: does not fit this run: {type(error).__name__}: {error}") from error


@contextmanager
def logged(folder: Path) -> Iterator[None]:
    """Send the engine's log to the run's log.txt while it runs."""
    handler = _RunLog(folder / "log.txt", encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(min(level or logging.INFO, logging.INFO))
    try:
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        with suppress(OSError):
            handler.close()
