"""The documentation is whole: links lead somewhere, and nothing that a user can name is missing."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
LINK = re.compile(r"(?<!!)\[[^]]*\]\(([^)\s]+)\)|!\[[^]]*\]\(([^)\s]+)\)")
GENERATED_ALSO = "docs/reference"


def links(text: str) -> list[str]:
    """Return the targets of a page's links, those in code left out."""
    plain = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    plain = re.sub(r"`[^`\n]*`", "", plain)
    return [a or b for a, b in LINK.findall(plain)]


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", t.lower()).strip().replace(" ", "-") for t in titles}


def test_every_link_leads_to_a_file_and_a_heading(page: Any):
    broken = []
    for link in links(page.text):
        if link.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.path.parent / path).resolve() if path else page.path
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_every_page_can_be_reached_from_the_first(pages: list[Any]):
    by_path = {page.path: page for page in pages}
    waiting, reached = [ROOT / "README.md"], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in reached or path not in by_path:
            continue
        reached.add(path)
        for link in links(by_path[path].text):
            target = (path.parent / link.partition("#")[0]).resolve()
            waiting += sorted(target.glob("*.md")) if target.is_dir() else [target]
    own = {p for p in by_path if "docs" in p.parts}
    assert sorted(str(p.relative_to(ROOT)) for p in own - reached) == []


def guides(pages: list[Any]) -> str:
    """Return what people read to do something: everything but the reference."""
    return "\n".join(p.text for p in pages if not p.name.startswith(GENERATED_ALSO))


def test_every_verb_is_used_in_a_guide(pages: list[Any]):
    from sampan.cli.main import VERBS

    text = guides(pages)
    assert [verb for verb in VERBS if f"sampan {verb}" not in text] == []


def test_every_storage_scheme_is_shown_in_a_guide(pages: list[Any]):
    from sampan.storage import SCHEMES

    text = guides(pages)
    assert [scheme for scheme in SCHEMES if f"{scheme}://" not in text] == []


def test_every_setting_is_in_the_reference(pages: list[Any]):
    text = next(p.text for p in pages if p.name == "docs/reference/settings.md")
    source = "\n".join(p.read_text() for p in (ROOT / "src").rglob("*.py"))
    read = set(re.findall(r"environ(?:\.get\(|\[)\s*\"(SAMPAN_[A-Z_]+)\"", source))
    from sampan.app.operator_settings import SETTINGS

    read |= {setting.variable for setting in SETTINGS}
    assert sorted(name for name in read if name not in text) == []


def test_every_kubectl_command_of_the_page_is_in_a_test(pages: list[Any]):
    text = next(p.text for p in pages if p.name == "docs/reference/kubectl.md")
    rows = re.findall(r"^\| (`.*?) \|", text, re.MULTILINE)
    promised = {verb for row in rows for verb in re.findall(r"`([a-z-]+)[^`]*`", row)}
    tests = [*(ROOT / "tests" / "apiserver").glob("test_kubectl*.py"),
             ROOT / "tests" / "e2e" / "test_kubectl.py"]  # fmt: skip
    source = "\n".join(p.read_text() for p in tests)
    assert sorted(verb for verb in promised if f'"{verb}"' not in source) == []


def test_every_decision_has_its_four_parts(pages: list[Any]):
    decisions = [page for page in pages if page.path.parent.name == "adr"]
    assert decisions
    for page in decisions:
        parts = re.findall(r"^\*\*(\w+)\.\*\*", page.text, re.MULTILINE)
        assert parts == ["Context", "Choice", "Rejected", "Consequences"], page.name


def test_blocks_are_of_languages_that_the_tests_know(page: Any, languages: set[str]):
    assert {block.language for block in page.blocks} - languages == set()
