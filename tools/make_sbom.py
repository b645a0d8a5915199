"""Write what an image holds, as CycloneDX 1.5, from the lock that it is built of.

    .venv/bin/python -m tools.make_sbom ROLE > sbom.json

ROLE is the name of a file of `deploy/locks`. The same lock gives the same text.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sampan import __version__

LOCKS = Path(__file__).parents[1] / "deploy" / "locks"
_PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def read_lock(text: str) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Yield name, version and SHA-256 of the files of each package of a lock."""
    for entry in re.split(r"\n(?=\S)", text):
        found = _PACKAGE.match(entry)
        if found:
            yield found[1], found[2], tuple(_HASH.findall(entry))


def make_sbom(role: str, text: str) -> dict[str, Any]:
    """Return the bill of materials of a role, of the text of its lock."""
    components = [_component(*package) for package in read_lock(text)]
    own = {"type": "application", "bom-ref": "sampan", "name": "sampan", "version": __version__}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {**own, "description": f"the role {role}"}},
        "components": components,
        "dependencies": [{"ref": "sampan", "dependsOn": [c["bom-ref"] for c in components]}],
    }


def _component(name: str, version: str, hashes: tuple[str, ...]) -> dict[str, Any]:
    """One package. Its hashes are those of every file that may be installed of it."""
    url = f"pkg:pypi/{name.lower()}@{version}"
    files = [{"name": "sha256", "value": digest} for digest in hashes]
    made = {"type": "library", "bom-ref": url, "name": name, "version": version, "purl": url}
    return {**made, "properties": files}


def main(arguments: list[str]) -> int:
    """Print the bill of materials of the role that is named."""
    known = sorted(path.stem for path in LOCKS.glob("*.txt"))
    if len(arguments) != 1 or arguments[0] not in known:
        sys.stderr.write(f"name a role: {', '.join(known)}\n")
        return 2
    role = arguments[0]
    json.dump(make_sbom(role, (LOCKS / f"{role}.txt").read_text()), sys.stdout, indent=1)
    sys.stdout.write("\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
