"""The TensorFlow example as its README says: made, served by the platform, asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.examples.test_examples import EXAMPLES, answer_as_expected

pytest.importorskip("tensorflow", reason="tensorflow is not installed: make test-engines")


@pytest.mark.timeout(900)  # the platform builds an environment with TensorFlow
def test_the_example_gives_the_expected_answer(tmp_path: Path) -> None:
    answer_as_expected(EXAMPLES / "09-tensorflow", tmp_path)
