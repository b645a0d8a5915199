"""Rules that a linter does not know: purity, one status write, no mocks of our own code."""

from __future__ import annotations

import ast
import re
from pathlib import Path

PURE = ("sampan.api.", "sampan.plan.", "sampan.protocol.")
CLOCKS = {"now", "today", "utcnow"}


def attribute_calls(tree: ast.Module) -> list[str]:
    return [
        node.func.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and isinstance(node.func.value, ast.Name)
        and node.func.value.id in {"datetime", "date"}
    ]


def test_pure_packages_read_no_clock(modules):
    guilty = [
        m.name for m in modules if m.name.startswith(PURE) and CLOCKS & set(attribute_calls(m.tree))
    ]
    assert guilty == []


def test_pure_packages_open_no_file(modules):
    # What the package itself ships (`importlib.resources.files`) is as good as code.
    opens = re.compile(r"\bopen\(|(?<!json\"\))\.read_text\(|\.read_bytes\(|\.write_text\(")
    assert [m.name for m in modules if m.name.startswith(PURE) and opens.search(m.text)] == []


def test_status_is_written_in_one_place(modules):
    writers = {m.name for m in modules if ".controllers." in m.name and "update_status(" in m.text}
    calls = sum(m.text.count("update_status(") for m in modules if ".controllers." in m.name)
    assert calls == len(writers)


def test_inheritance_is_at_most_two_deep_among_our_own_classes(modules):
    parents = {
        node.name: {b.id for b in node.bases if isinstance(b, ast.Name)}
        for m in modules
        for node in ast.walk(m.tree)
        if isinstance(node, ast.ClassDef)
    }

    def depth(name: str, seen: frozenset[str] = frozenset()) -> int:
        if name not in parents or name in seen:
            return 0
        return 1 + max((depth(p, seen | {name}) for p in parents[name]), default=0)

    assert {n: depth(n) for n in parents if depth(n) > 3} == {}


def test_tests_mock_nothing_of_our_own(root: Path):
    forbidden = re.compile(r"mock\.patch|MagicMock|monkeypatch\.setattr\(\s*[\"']?sampan")
    here = Path(__file__)
    guilty = [
        str(p.relative_to(root))
        for p in (root / "tests").rglob("*.py")
        if p != here and forbidden.search(p.read_text())
    ]
    assert guilty == []


def test_the_project_speaks_of_itself_only(root: Path):
    # Spelled in parts, so that this file does not accuse itself.
    words = ["/" + "work/", "pypi" + ".org", "files.python" + "hosted", "/" + "root/."]
    tracked = [
        p
        for folder in ("src", "tests", "docs", "examples", "bench", ".ci", "tools")
        for p in (root / folder).rglob("*")
        if p.is_file() and p.suffix in {".py", ".md", ".yaml", ".json", ".toml", ".txt", ""}
    ]
    tracked += [
        p for p in root.iterdir() if p.is_file() and p.suffix in {".md", ".toml", ".lock", ""}
    ]
    guilty = [
        (str(p.relative_to(root)), w)
        for p in tracked
        if "__pycache__" not in p.parts
        for w in words
        if w in p.read_text(errors="ignore")
    ]
    assert guilty == []
