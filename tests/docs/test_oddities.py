"""Every oddity that was seen in KServe is decided, and no decision is about one that was not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared"
OURS = ("Q19",)
"""Found since the recordings were made."""


def decided() -> list[str]:
    text = (ROOT / "docs" / "reference" / "oddities.md").read_text("utf-8")
    return re.findall(r"^\| ([SLQ]\d+) \|", text, re.MULTILINE)


def recorded() -> list[str]:
    """Return the oddities of the recordings, in their order, and the quirks among the facts."""
    readme = (SHARED / "golden" / "README.md").read_text("utf-8")
    samples, _, lives = readme.partition("# Lifecycles")
    found = [f"S{n}" for n in _numbered(samples.partition("## Oddities")[2])]
    found += [f"L{n}" for n in _numbered(lives.partition("## Oddities")[2])]
    facts = (SHARED / "facts" / "control-plane.md").read_text("utf-8")
    quirks = facts.count("**[Q]**") - 1  # one is in the legend
    return found + [f"Q{n}" for n in range(1, quirks + 1)]


def _numbered(text: str) -> list[str]:
    return re.findall(r"^(\d+)\. ", text, re.MULTILINE)


def test_every_oddity_is_decided_once_and_in_order() -> None:
    if not SHARED.is_dir():
        pytest.skip(f"no recordings of KServe: {SHARED} is absent")
    assert decided() == [*recorded(), *OURS]


def test_each_decision_is_one_of_three() -> None:
    text = (ROOT / "docs" / "reference" / "oddities.md").read_text("utf-8")
    rows = re.findall(r"^\| ([SLQ]\d+) \| .* \| (.*) \|$", text, re.MULTILINE)
    words = ("**kept**", "**mended**", "*not here*")
    assert [name for name, decision in rows if not any(word in decision for word in words)] == []
