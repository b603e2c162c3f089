"""The contract of metrics: a good one passes, and each check finds the one that breaks it, alone."""

from __future__ import annotations

import faulty_metrics as faulty
import pytest

from ambientkit.testing import METRIC_CHECKS, ContractError, MetricCase, check_metric, parametrize_with_checks


@pytest.mark.parametrize("kind", faulty.FAULTY_METRICS, ids=lambda kind: kind.__name__)
def test_a_faulty_metric_is_found_by_one_check(kind):
    with pytest.raises(ContractError) as caught:
        check_metric(kind())
    assert {failure.check for failure in caught.value.failures} == {faulty.FAULTY_METRICS[kind]}
    assert all(";" in failure.message for failure in caught.value.failures)


def test_every_check_has_a_faulty_metric():
    assert {check.name for check in METRIC_CHECKS} == set(faulty.FAULTY_METRICS.values())
    assert all(check.summary for check in METRIC_CHECKS)


@parametrize_with_checks({"good": (METRIC_CHECKS, lambda: MetricCase(faulty.GoodMetric()))})
def test_a_good_metric_passes(check):
    check()


def test_a_metric_that_needs_no_truth_is_not_compared_with_it():
    class Smoothness(faulty.Metric):
        def per_picture(self, evaluated):
            return {"steps": evaluated.completed.diff(dim=-1).abs().mean((1, 2, 3))}

        def summary(self, values):
            return {"steps": float(values["steps"].mean())}

    skipped = [finding.check for finding in check_metric(Smoothness()) if finding.outcome == "skipped"]
    assert skipped == ["better_pictures_score_higher"]
