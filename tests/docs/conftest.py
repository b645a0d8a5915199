"""Documentation as the tests read it: pages, their blocks, and what a comment says of a block.

A comment before a block says how it is run (`<!-- test: ... -->`):

    file NAME           (yaml, json, python) write the block as this file
    exit N              the commands end with this code, not with 0
    retry               repeat until the block holds: something is under way
    until Ctrl-C        a command in the foreground: interrupt it once its output has come
    background          leave it running until the page ends
    not run, REASON     somebody else runs it, or nobody can

The first line of a page may say what stands ready (`<!-- page: up, model -->`): a Sampan that is
up, a folder `model` with the iris classifier. A `text` block after a `bash` block is what that
prints: each line of it in order, where `...` stands for anything and blanks do not count.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FOLDERS = ("tutorial", "how-to", "explanation", "reference", "checklists", "adr")
LANGUAGES = {"", "bash", "text", "yaml", "json", "python"}

_BLOCK = re.compile(
    r"(?:^<!-- test: (?P<note>[^\n]*?) -->\n\s*)?^```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
_PAGE = re.compile(r"^<!-- page: (?P<needs>[^\n]*?) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, what its comment says, its line in the page."""

    language: str
    text: str
    note: str
    line: int


@dataclass(frozen=True)
class Page:
    """A page: its path in the repository, what must stand ready, its blocks in order."""

    path: Path
    text: str

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def needs(self) -> set[str]:
        found = _PAGE.search(self.text)
        return {need.strip() for need in found["needs"].split(",")} if found else set()

    @property
    def blocks(self) -> list[Block]:
        return [
            Block(m["language"], m["text"], m["note"] or "", self.text[: m.start()].count("\n") + 1)
            for m in _BLOCK.finditer(self.text)
        ]


def all_pages() -> list[Page]:
    paths = [p for folder in FOLDERS for p in sorted((ROOT / "docs" / folder).glob("*.md"))]
    paths += [ROOT / "docs" / "README.md", *sorted(ROOT.glob("*.md"))]
    paths += sorted((ROOT / "examples").glob("*/README.md"))
    return [Page(path, path.read_text("utf-8")) for path in paths]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give tests with `page` every page, with `command_page` those that run commands."""
    for fixture in {"page", "command_page"} & set(metafunc.fixturenames):
        pages = [
            page
            for page in all_pages()
            if fixture == "page" or any(b.language == "bash" for b in page.blocks)
        ]
        metafunc.parametrize(fixture, pages, ids=[page.name for page in pages])


@pytest.fixture(scope="session")
def pages() -> list[Page]:
    return all_pages()


@pytest.fixture(scope="session")
def languages() -> set[str]:
    return LANGUAGES
