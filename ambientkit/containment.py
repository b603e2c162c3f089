"""What a plugin's code raises becomes one line that names the plugin, what was called and where.

Its traceback goes to the log. What ends the whole process, such as `os._exit` or a fault in native code,
cannot be held.
"""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any

from ambientkit.errors import FAILURES, AmbientkitError, PluginError, RunError
from ambientkit.mishaps import explained
from ambientkit.registry import Registered
from ambientkit.watchdog import watched

log = logging.getLogger("ambientkit")


@dataclass(frozen=True)
class Blame:
    """The plugin in whose code something was raised, the function that was called, and the line."""

    source: str
    called: str
    place: str


@contextmanager
def contained(entries: Iterable[Registered], kind: type[PluginError | RunError] = RunError) -> Iterator[None]:
    """Whatever the code of these components raises inside is a `kind` that names the plugin.

    Ctrl-C is the user's, and errors of ambientkit's own speak for themselves.
    """
    try:
        yield
    except AmbientkitError:
        raise
    except FAILURES as error:
        found = None if explained(error) else blame(error, entries)
        if found is None:  # a full disk and lacking memory are no plugin's fault
            raise
        log.info("%s", found, exc_info=error)
        raise kind(
            f"the plugin {found.source} failed in {found.called}: {one_line(error)} ({found.place})"
        ) from error


def one_line(error: BaseException) -> str:
    """The exception's name and message, cut short."""
    text = " ".join(str(error).split())[:300]
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def blame(error: BaseException, entries: Iterable[Registered]) -> Blame | None:
    """Whose code raised: the plugin of the innermost line that is one's; None where there is none."""
    homes = {home: entry.source for entry in entries if (home := _home(entry)) is not None}
    frames = traceback.extract_tb(error.__traceback__)
    for frame in reversed(frames):
        home = next((home for home in homes if _lies_in(frame.filename, home)), None)
        if home is not None:
            called = next(each.name for each in frames if _lies_in(each.filename, home))
            return Blame(homes[home], called, f"{frame.filename}:{frame.lineno}")
    return _of_a_component(error)


def _of_a_component(error: BaseException) -> Blame | None:
    """Of a component that is written elsewhere than its plugin, or in a notebook: known by what it is."""
    from torch import nn

    from ambientkit.interfaces import Dataset, Fidelity, Measurement, Metric, Objective

    contracts = {Dataset, Fidelity, Measurement, Metric, Objective, nn.Module}
    libraries = (Path(__file__).parent, Path(nn.__file__).parents[1])
    for frame, line in traceback.walk_tb(error.__traceback__):
        owner, code = type(frame.f_locals.get("self")), frame.f_code
        if contracts & set(owner.__mro__) and not any(_lies_in(code.co_filename, each) for each in libraries):
            return Blame(owner.__name__, code.co_name, f"{code.co_filename}:{line}")
    return None


def _home(entry: Registered) -> Path | None:
    """The folder of the component's package, or its file where it is a single module."""
    module = sys.modules.get(getattr(entry.component.build, "__module__", None) or "")
    file = getattr(module, "__file__", None)
    if file is None:
        return None
    return Path(file).parent if getattr(module, "__package__", "") else Path(file)


def _lies_in(file: str, home: Path) -> bool:
    return Path(file) == home or home in Path(file).parents


def observer(name: str, hook: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """A callback's hook as it is called: told of when it takes long, and contained when it fails."""

    @wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:
        try:
            with watched(f"the callback {name} in {hook}"):
                return function(*arguments, **named)
        except AmbientkitError:
            raise
        except FAILURES as error:
            if explained(error):
                raise
            log.info("the callback %s failed in %s", name, hook, exc_info=error)
            place = traceback.extract_tb(error.__traceback__)[-1]
            raise RunError(
                f"the callback {name} failed in {hook}: {one_line(error)} ({place.filename}:{place.lineno})"
            ) from error

    return call
