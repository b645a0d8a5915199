"""The Paddle example as its README says: made, served by the platform, asked."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.examples.test_examples import EXAMPLES, answer_as_expected

pytest.importorskip("paddle", reason="paddlepaddle is not installed: make test-engines")
# Of time: the platform builds an environment with Paddle. Of warnings: Paddle's own, at import.
pytestmark = [pytest.mark.timeout(900), pytest.mark.filterwarnings("ignore")]


def test_the_example_gives_the_expected_answer(tmp_path: Path) -> None:
    answer_as_expected(EXAMPLES / "19-paddle", tmp_path)
