"""Fixtures of the graph networks."""

import pytest


@pytest.fixture(scope="session")
def fold(xtb_task):
    """Training inputs and targets, then test inputs and targets of one fold."""
    return *xtb_task.get_train_and_val_data(0), *xtb_task.get_test_data(0, include_target=True)
