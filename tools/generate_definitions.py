"""Write `src/sampan/api/schema/definitions.json` from the typed views and `lightkube-models`.

Run it after a change to a `types.py` or an upgrade of `lightkube-models`:

    .venv/bin/python tools/generate_definitions.py [--check]

With `--check` nothing is written, and the exit code is 1 when the file is not current.
"""

from __future__ import annotations

import json
import sys
from importlib.metadata import files as distribution_files
from pathlib import Path

from sampan.api.schema.derive_all import derive_definitions

TARGET = Path(__file__).parents[1] / "src/sampan/api/schema/definitions.json"
MODULES = ("core_v1", "meta_v1", "autoscaling_v2", "apps_v1", "rbac_v1")


def model_texts() -> dict[str, str]:
    """Return the source of the model modules, read from the installed distribution."""
    wanted = {f"lightkube/models/{name}.py": name for name in MODULES}
    found = distribution_files("lightkube-models") or []
    return {wanted[f.as_posix()]: f.read_text() for f in found if f.as_posix() in wanted}


def render() -> str:
    """Return the text of the file."""
    definitions = derive_definitions(model_texts())
    return json.dumps(definitions, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def main(arguments: list[str]) -> int:
    """Write or check the file."""
    text = render()
    if "--check" in arguments:
        return int(TARGET.read_text("utf-8") != text)
    TARGET.write_text(text, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
