"""The list of wanted differences holds nothing that is not needed, and people can read it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.platforms.kubernetes.conftest import SET_UPS
from tests.platforms.kubernetes.recorded_differences import Difference, rules
from tests.platforms.kubernetes.test_golden import all_differences, read_recordings
from tests.platforms.kubernetes.test_golden_lifecycle import stories, story_differences
from tests.platforms.kubernetes.test_golden_pods import SET_UPS as POD_SET_UPS
from tests.platforms.kubernetes.test_golden_pods import pod_differences

PAGE = Path(__file__).parents[3] / "docs/reference/differences.md"


def test_every_rule_is_needed(
    golden_folder: Path, rendered: Any, config_data: Any, make_source: Any, around: Any
):
    found: list[Difference] = []
    for set_up in POD_SET_UPS:
        found += pod_differences(set_up, golden_folder, make_source, around)
    for set_up in SET_UPS:
        found += all_differences(set_up, read_recordings(golden_folder / set_up), rendered)
        for path in stories(golden_folder, set_up):
            found += story_differences(path, rendered, config_data)
    unused = [r.behaviour for r in rules() if not any(r.allows(d) for d in found)]
    assert unused == []


def test_every_rule_stands_in_the_documentation():
    table = PAGE.read_text().partition("## Objects on a cluster")[2].partition("\n## ")[0]
    assert [r.behaviour for r in rules() if f"| {r.behaviour} |" not in table] == []
