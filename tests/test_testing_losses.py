"""The contracts of objectives and fidelities: good ones pass, and each check finds what breaks it, alone."""

from __future__ import annotations

import faulty_losses as faulty
import pytest

from ambientkit.testing import (
    FIDELITY_CHECKS,
    OBJECTIVE_CHECKS,
    ContractError,
    FidelityCase,
    ObjectiveCase,
    check_fidelity,
    check_objective,
    parametrize_with_checks,
)

CASES = [
    *((check_objective, kind, check) for kind, check in faulty.FAULTY_OBJECTIVES.items()),
    *((check_fidelity, kind, check) for kind, check in faulty.FAULTY_FIDELITIES.items()),
]


@pytest.mark.parametrize(("check", "kind", "name"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_a_faulty_one_is_found_by_one_check(check, kind, name):
    with pytest.raises(ContractError) as caught:
        check(kind())
    assert {failure.check for failure in caught.value.failures} == {name}
    assert all(";" in failure.message for failure in caught.value.failures)


def test_every_check_has_a_faulty_one():
    assert {check.name for check in OBJECTIVE_CHECKS} == set(faulty.FAULTY_OBJECTIVES.values())
    assert {check.name for check in FIDELITY_CHECKS} == set(faulty.FAULTY_FIDELITIES.values())
    assert all(check.summary for check in (*OBJECTIVE_CHECKS, *FIDELITY_CHECKS))


@parametrize_with_checks(
    {
        "non saturating": (OBJECTIVE_CHECKS, lambda: ObjectiveCase(faulty.GoodObjective())),
        "gradient penalty": (OBJECTIVE_CHECKS, lambda: ObjectiveCase(faulty.GradientPenalty())),
        "held out": (FIDELITY_CHECKS, lambda: FidelityCase(faulty.GoodFidelity())),
        "consistency": (FIDELITY_CHECKS, lambda: FidelityCase(faulty.Consistent())),
    }
)
def test_good_ones_pass(check):
    check()


def test_a_fidelity_that_restores_is_held_to_it():
    findings = {finding.check: finding.outcome for finding in check_fidelity(faulty.Consistent())}
    assert set(findings.values()) == {"passed"}
    skipped = [each.check for each in check_fidelity(faulty.GoodFidelity()) if each.outcome == "skipped"]
    assert skipped == ["restore_and_measure_get_what_they_take"]
