"""The AutoGluon example as its README says: made, served by the platform, asked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.examples.test_examples import EXAMPLES, answer_as_expected

pytestmark = [
    pytest.mark.timeout(1800),  # the platform builds an environment with AutoGluon
    pytest.mark.skipif(
        not os.environ.get("SAMPAN_TEST_AUTOGLUON"),
        reason="AutoGluon is two gigabytes: make test-engines",
    ),
]


def test_the_example_gives_the_expected_answer(tmp_path: Path) -> None:
    answer_as_expected(EXAMPLES / "29-autogluon", tmp_path)
