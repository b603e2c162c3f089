"""The contract of data sets: good ones pass, and each check finds the one that breaks it, alone."""

from __future__ import annotations

import faulty_datasets as faulty
import pytest
import torch

from ambientkit.testing import (
    DATASET_CHECKS,
    ContractError,
    DatasetCase,
    check_dataset,
    parametrize_with_checks,
)


@pytest.mark.parametrize("kind", faulty.FAULTY_DATASETS, ids=lambda kind: kind.__name__)
def test_a_faulty_dataset_is_found_by_one_check(kind):
    with pytest.raises(ContractError) as caught:
        check_dataset(kind())
    assert {failure.check for failure in caught.value.failures} == {faulty.FAULTY_DATASETS[kind]}
    assert all(";" in failure.message for failure in caught.value.failures)


def test_every_check_has_a_faulty_dataset():
    assert {check.name for check in DATASET_CHECKS} == set(faulty.FAULTY_DATASETS.values())
    assert all(check.summary for check in DATASET_CHECKS)


@parametrize_with_checks(
    {
        "pictures": (DATASET_CHECKS, lambda: DatasetCase(faulty.GoodDataset())),
        "measurements": (DATASET_CHECKS, lambda: DatasetCase(faulty.GoodMeasurements())),
    }
)
def test_good_datasets_pass(check):
    check()


def test_data_that_lend_their_memory_are_as_they_were():
    lent = faulty.HandsOutItsMemory()
    before = lent.pictures.clone()
    with pytest.raises(ContractError):
        check_dataset(lent)
    assert torch.equal(lent.pictures, before)


class OneAtATime(faulty.GoodDataset):
    def images(self, indices):
        if len(indices) > 1:
            raise ValueError("one at a time, please")
        return super().images(indices)


def test_what_every_check_waits_for_is_told():
    """No check is of batches alone, so each would leave it to another one."""
    with pytest.raises(ContractError, match="has to work first: ValueError: one at a time"):
        check_dataset(OneAtATime())
