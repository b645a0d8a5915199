"""The source tree as the house rules see it."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "src" / "sampan"


@dataclass(frozen=True)
class Module:
    """One source file, parsed."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return ".".join(self.path.relative_to(SOURCE.parent).with_suffix("").parts)

    @property
    def lines(self) -> int:
        return self.text.count("\n")

    def functions(self) -> list[tuple[str, int]]:
        """Return every function with its length in lines."""
        kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
        return [
            (f"{self.name}.{n.name}", (n.end_lineno or n.lineno) - n.lineno + 1)
            for n in ast.walk(self.tree)
            if isinstance(n, kinds)
        ]


@pytest.fixture(scope="session")
def modules() -> list[Module]:
    found = []
    for path in sorted(SOURCE.rglob("*.py")):
        text = path.read_text()
        found.append(Module(path, text, ast.parse(text)))
    return found


@pytest.fixture(scope="session")
def root() -> Path:
    return ROOT
