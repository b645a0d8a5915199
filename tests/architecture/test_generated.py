"""What is generated is current: `make generate` would change nothing."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]
MEND = "run `make generate` and commit what it writes"


def tool(name: str) -> ModuleType:
    """Import a program of `tools`, which is no installed package."""
    if str(ROOT) not in sys.path:
        sys.path.append(str(ROOT))
    return importlib.import_module(f"tools.{name}")


def test_manifests_and_the_image_table_follow_the_runtimes():
    import sampan.manifests
    from sampan.app.generate import render_files
    from sampan.runtimes import all_runtimes

    folder = Path(sampan.manifests.__file__).parent
    made = render_files(all_runtimes())
    stored = {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*.[jy][sa]*")}
    stored = {name: text for name, text in stored.items() if not name.endswith(".py")}
    assert stored == made, MEND


def test_the_schemas_follow_the_types():
    assert tool("generate_definitions").main(["--check"]) == 0, MEND


def reference_pages() -> list[str]:
    return list(tool("generate_reference").PAGES)


@pytest.mark.parametrize("name", reference_pages())
def test_each_generated_page_of_the_reference_follows_the_code(name: str):
    text = importlib.import_module(f"tools.reference.{name}").render()
    assert tool("generate_reference").page_of(name).read_text("utf-8") == text, MEND


def test_every_generator_of_a_page_stands_in_the_table():
    makers = {
        p.stem
        for p in (ROOT / "tools" / "reference").glob("*.py")
        if "def render(" in p.read_text()
    }
    assert makers == set(reference_pages())
