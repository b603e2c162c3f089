"""What all contract checks share: a check is one function, and a failure says what to do.

    checks = Checks()

    @checks.add
    def the_same_draws_give_the_same_theta(case): ...

A check looks at a *case*, the component under test with what is needed to use it. It calls
`require`, or is skipped by `not_applicable` where the component declares nothing of the kind.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Literal, NoReturn, TypeAlias, TypeVar

import pluggy
import pydantic

from ambientkit.errors import FAILURES, AmbientkitError
from ambientkit.names import did_you_mean

CaseT = TypeVar("CaseT")
Outcome = Literal["passed", "failed", "skipped"]
Waivers: TypeAlias = Mapping[str, str]


class BrokenPromiseError(AssertionError):
    """A promise that does not hold, and what to do about it."""


class NotApplicable(Exception):  # noqa: N818 - no error: the component promises nothing of the kind
    """Why a check says nothing about a component."""


class Waits(NotApplicable):
    """What has to work before a check can say something; another check tells, or this one fails."""


class ContractError(AssertionError):
    """Every promise that a component breaks, one a line."""

    def __init__(self, name: str, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        self.failures = tuple(finding for finding in self.findings if finding.outcome == "failed")
        lines = "\n".join(f"- {failure}" for failure in self.failures)
        super().__init__(f"{name} breaks {len(self.failures)} of {len(self.findings)} checks:\n{lines}")


def require(condition: object, message: str, remedy: str = "") -> None:
    """Raise BrokenPromiseError unless `condition` holds."""
    if not condition:
        raise BrokenPromiseError(f"{message}; {remedy}" if remedy else message)


def not_applicable(reason: str) -> NoReturn:
    """Leave the check: the component makes no such promise."""
    raise NotApplicable(reason)


@dataclass(frozen=True)
class Finding:
    """What one check found. `message` is why it failed, or why it was skipped."""

    check: str
    outcome: Outcome
    message: str = ""
    waits: bool = field(default=False, repr=False)  # skipped for what another check should tell of

    def __str__(self) -> str:
        return f"{self.check}: {self.message}" if self.message else self.check


@dataclass(frozen=True)
class Check(Generic[CaseT]):
    """One promise of a contract, as a function of a case."""

    run: Callable[[CaseT], None]

    @property
    def name(self) -> str:
        """The function's name, in which the promise is told."""
        return self.run.__name__

    @property
    def summary(self) -> str:
        """First line of the function's docstring."""
        return (self.run.__doc__ or "").strip().partition("\n")[0]

    def find(self, case: CaseT) -> Finding:
        """Run the check; whatever the component raises is a failure that names the line."""
        try:
            self.run(case)
        except NotApplicable as reason:
            return Finding(self.name, "skipped", str(reason), isinstance(reason, Waits))
        except BrokenPromiseError as broken:
            return Finding(self.name, "failed", str(broken))
        except FAILURES as error:  # a component under test may raise anything
            return Finding(self.name, "failed", raised(error))
        return Finding(self.name, "passed")


def raised(error: BaseException) -> str:
    """What a component raised, in one line, and where in its code."""
    if isinstance(error, AmbientkitError):
        return f"it raised {type(error).__name__}: {error}"
    text = " ".join(str(error).split())[:300]
    return f"it raised {type(error).__name__}: {text}{place_of(error)}"


def place_of(error: BaseException) -> str:
    """Where in the component's own code the error arose."""
    others = [Path(pluggy.__file__).parent, Path(pydantic.__file__).parent, Path(__file__).parents[1]]
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if "torch" not in path.parts and not any(path.is_relative_to(folder) for folder in others):
            return f" ({frame.filename}:{frame.lineno})"
    return ""


@dataclass(frozen=True)
class Checks(Generic[CaseT]):
    """The checks of one contract, in the order in which they were written."""

    listed: list[Check[CaseT]] = field(default_factory=list)

    def add(self, function: Callable[[CaseT], None]) -> Callable[[CaseT], None]:
        """Decorator: make a function one of the checks."""
        self.listed.append(Check(function))
        return function

    def __iter__(self) -> Iterator[Check[CaseT]]:
        return iter(self.listed)

    def find(self, case: CaseT, waived: Waivers | None = None) -> list[Finding]:
        """What every check finds. `waived` maps a check's name to why its failure is accepted.

        What only waits for something to work is skipped where another check fails, and fails where none does.
        A waived failure is skipped with that reason; a waived check that passes fails, so that
        waivers do not outlive their reason. Raises ValueError for a waiver of no check.
        """
        reasons = dict(waived or {})
        _refuse_unknown(reasons, [check.name for check in self.listed])
        found = [check.find(case) for check in self.listed]
        if not any(finding.outcome == "failed" for finding in found):
            found = [_failed_there(each) if each.waits else each for each in found]
        return [_excused(finding, reasons.get(finding.check)) for finding in found]

    def require(self, name: str, case: CaseT, waived: Waivers | None = None) -> list[Finding]:
        """What every check finds. Raises ContractError with all that fail and are not `waived`."""
        findings = self.find(case, waived)
        if any(finding.outcome == "failed" for finding in findings):
            raise ContractError(name, findings)
        return findings


def _failed_there(finding: Finding) -> Finding:
    """Where nothing else is wrong, it is only in this check's own situation that something does not work."""
    message = f"{finding.message}; it works elsewhere: make it work in this situation too"
    return replace(finding, outcome="failed", message=message, waits=False)


def _refuse_unknown(names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            hint = did_you_mean(name, known) or f"there are {', '.join(known)}"
            raise ValueError(f"there is no check {name!r} to waive; {hint}")


def _excused(finding: Finding, reason: str | None) -> Finding:
    """A finding in the light of a waiver."""
    if reason is None or finding.outcome == "skipped":
        return finding
    if finding.outcome == "passed":
        return Finding(finding.check, "failed", f"it is waived ({reason}), but passes; remove the waiver")
    return Finding(finding.check, "skipped", f"waived ({reason}): {finding.message}")


def parametrize_with_checks(
    cases: Mapping[str, tuple[Checks[Any], Callable[[], Any]]],
    waived: Mapping[str, Waivers] | None = None,
) -> Any:
    """`pytest.mark.parametrize("check", ...)`: one test for every case and each of its checks.

    `cases` maps a name to (checks, make): `make()` builds a new case for each test. The test calls
    `check()`, which raises BrokenPromiseError where the promise does not hold; what does not apply is
    skipped. `waived` maps a case's name to its waivers, as `Checks.find` has them. Raises ValueError
    where there is nothing to test or a waiver fits no case or check.
    """
    import pytest

    waivers = waived or {}
    _refuse_unknown_waivers(cases, waivers)
    params = [
        pytest.param(_Bound(check, make, waivers.get(name, {}).get(check.name)), id=f"{name}-{check.name}")
        for name, (checks, make) in cases.items()
        for check in checks
    ]
    if not params:
        raise ValueError("parametrize_with_checks: there is no case, so nothing would be tested")
    return pytest.mark.parametrize("check", params)


def _refuse_unknown_waivers(
    cases: Mapping[str, tuple[Checks[Any], Any]], waivers: Mapping[str, Waivers]
) -> None:
    for name, reasons in waivers.items():
        if name not in cases:
            raise ValueError(f"waivers are given for {name!r}, which is no case")
        _refuse_unknown(reasons, [check.name for check in cases[name][0]])


@dataclass(frozen=True)
class _Bound:
    """A check with its case, to be called in a test."""

    check: Check[Any]
    make: Callable[[], Any]
    waiver: str | None = None

    def __call__(self) -> None:
        import pytest

        finding = _excused(self.check.find(self.make()), self.waiver)
        if finding.outcome == "skipped":
            pytest.skip(finding.message)
        if finding.outcome == "failed":
            raise BrokenPromiseError(str(finding))
