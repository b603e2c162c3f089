"""Every error that a user may see, in one tree.

    AmbientkitError
    ├── InputError              exit 2: what was given cannot work; nothing was run
    │   ├── RecipeError         a recipe or an override; carries every `Problem` at once
    │   ├── PluginError         a plugin or a component that cannot be used
    │   ├── DataError           pictures, masks or stores that cannot be used
    │   └── RunFolderError      a run folder or checkpoint that does not fit
    ├── RunError                exit 1: the run began and failed
    │   └── NonFiniteError      a term or gradient is not finite
    └── Interrupted             exit 128 + n: signal n ended the run; a checkpoint was kept

Catch `AmbientkitError` to catch them all. Messages say the place, what is wrong and what to do.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

FAILURES: tuple[type[BaseException], ...] = (Exception, SystemExit)
"""Whatever a plugin's code may raise; Ctrl-C is the user's."""


class AmbientkitError(Exception):
    """Base of every error that ambientkit raises on purpose."""

    exit_code: ClassVar[int] = 1


class InputError(AmbientkitError):
    """What the user gave cannot work; nothing was run."""

    exit_code: ClassVar[int] = 2


MOST_SHOWN = 100
"""Problems in one message; whoever has more has another file in hand."""
LONGEST = 500
"""Characters of what was written that a message repeats."""


def cut(text: str) -> str:
    """The text, or its beginning where it is longer than any message should be."""
    return text if len(text) <= LONGEST else text[:LONGEST] + "..."


@dataclass(frozen=True, order=True)
class Place:
    """Where a value was written: a file (or an override), a 1-based line and column."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a recipe: place, dotted path, what, and what to do about it."""

    place: Place
    path: str
    message: str
    remedy: str = ""
    warning: bool = False

    def __str__(self) -> str:
        place = cut(str(self.place))
        where = f"{place}: {cut(self.path)}" if self.path else place
        remedy = f"; {self.remedy}" if self.remedy else ""
        return f"{where}: {'warning: ' if self.warning else ''}{cut(self.message)}{cut(remedy)}"


class RecipeError(InputError):
    """A recipe that cannot be run, with all its problems, sorted by place."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = sorted(problems, key=lambda problem: (problem.place, problem.path))
        lines = [str(problem) for problem in self.problems[:MOST_SHOWN]]
        more = len(self.problems) - len(lines)
        super().__init__("\n".join([*lines, *([f"and {more} more"] if more else [])]))


class PluginError(InputError):
    """A plugin or a component that cannot be used."""


class DataError(InputError):
    """Pictures, masks or a measured store that cannot be used."""


class RunFolderError(InputError):
    """A run folder or checkpoint that is missing, damaged or does not fit."""


class RunError(AmbientkitError):
    """The run began and failed."""


class NonFiniteError(RunError):
    """A term or a gradient became infinite or NaN."""


class Interrupted(AmbientkitError):  # noqa: N818 - nothing went wrong: somebody asked us to stop
    """A signal ended a run after a checkpoint was written, or the completing of pictures.

    `exit_code` is 128 + the signal's number, as shells have it.
    """

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number  # type: ignore[misc]  # differs by signal
