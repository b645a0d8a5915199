"""Write the generated pages of `docs/reference`.

    .venv/bin/python -m tools.generate_reference [--check]

With `--check` nothing is written, and the exit code is 1 when a page is not current.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "docs" / "reference"

PAGES = (
    "autoscaling",
    "capabilities",
    "cli",
    "configuration",
    "kinds",
    "limits",
    "reasons",
    "rights",
    "runtimes",
    "settings",
    "what_runs_where",
)
"""Pages by name; `tools.reference.NAME.render()` makes `docs/reference/NAME.md` (`page_of`)."""


def page_of(name: str) -> Path:
    """Return the path of a page."""
    return FOLDER / f"{name.replace('_', '-')}.md"


def render_pages() -> dict[Path, str]:
    """Return the text of every page by its path."""
    return {page_of(name): import_module(f"tools.reference.{name}").render() for name in PAGES}


def main(arguments: list[str]) -> int:
    """Write or check the pages."""
    pages = render_pages()
    if "--check" in arguments:
        stale = [p for p, text in pages.items() if not p.exists() or p.read_text("utf-8") != text]
        sys.stderr.writelines(f"{path} is not current; run make generate\n" for path in stale)
        return int(bool(stale))
    FOLDER.mkdir(parents=True, exist_ok=True)
    for path, text in pages.items():
        path.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
