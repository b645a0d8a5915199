"""The images: as their file says, of locked packages, and what is in them is told."""

from __future__ import annotations

import importlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILE = (ROOT / "deploy" / "Containerfile").read_text()
LOCKS = ROOT / "deploy" / "locks"
EXTRAS = {"operator": ("kubernetes",), "router": (), "sklearn": ("server", "sklearn")}
ROLES = re.findall(r"^FROM base AS (\S+)$", FILE, re.MULTILINE)


def packages(role: str) -> dict[str, str]:
    text = (LOCKS / f"{role}.txt").read_text()
    found = re.findall(r"^(\S+)==(\S+)", text, re.MULTILINE)
    return {name.lower(): version for name, version in found}


def wanted(role: str) -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra in EXTRAS[role]:
        lines += project["optional-dependencies"][extra]
    return {re.match(r"[\w.-]+", line)[0].lower().replace("_", "-") for line in lines}  # type: ignore[index]  # each line names one


def test_every_role_has_a_stage() -> None:
    assert ROLES == ["operator", "router", "storage-initializer", "agent", "server"]


def test_no_role_runs_as_root() -> None:
    base = FILE.split(" AS base\n")[1].split("FROM ")[0]
    assert "USER 65532:65532" in base


@pytest.mark.parametrize("role", [role for role in ROLES if role != "storage-initializer"])
def test_a_role_tells_of_its_health_and_starts_without_a_shell(role: str) -> None:
    stage = FILE.split(f" AS {role}\n")[1].split("FROM ")[0]
    for instruction in ("HEALTHCHECK", "ENTRYPOINT"):
        assert re.search(rf"^{instruction}.* ?\[", stage, re.MULTILINE), instruction


@pytest.mark.parametrize(
    ("role", "path", "answered_in"),
    [
        ("operator", "/healthz", "app/operator_health.py"),
        ("router", "/readyz", "server/graph_front.py"),  # any other path goes through the graph
        ("server", "/v2/health/live", "server/routes.py"),
    ],
)
def test_a_role_is_asked_for_its_health_where_it_answers(
    role: str, path: str, answered_in: str
) -> None:
    stage = FILE.split(f" AS {role}\n")[1].split("FROM ")[0]
    [asked] = re.findall(r"urlopen\('http://127\.0\.0\.1:\d+(/[^']*)'", stage)
    assert asked == path
    assert path.rsplit("/", 1)[-1] in (ROOT / "src" / "sampan" / answered_in).read_text()


@pytest.mark.parametrize("role", EXTRAS)
def test_a_lock_has_what_the_project_asks_for_with_hashes(role: str) -> None:
    assert wanted(role) <= set(packages(role))
    text = (LOCKS / f"{role}.txt").read_text()
    assert text.count("--hash=sha256:") >= len(packages(role))
    assert "--index-url" not in text


@pytest.mark.parametrize("role", EXTRAS)
def test_the_bill_of_materials_names_every_package_of_the_lock(role: str) -> None:
    tool = importlib.import_module("tools.make_sbom")
    made = tool.make_sbom(role, (LOCKS / f"{role}.txt").read_text())
    assert (made["bomFormat"], made["specVersion"]) == ("CycloneDX", "1.5")
    assert {c["name"].lower(): c["version"] for c in made["components"]} == packages(role)
    refs = [c["bom-ref"] for c in made["components"]]
    assert made["dependencies"] == [{"ref": "sampan", "dependsOn": refs}]
    assert len(set(refs)) == len(refs)


@pytest.mark.slow
@pytest.mark.parametrize(("role", "verb"), [("operator", "operator"), ("router", "route")])
def test_a_role_s_lock_is_enough_to_start_it(role: str, verb: str, tmp_path: Path) -> None:
    """The steps of the image's build, in a folder of their own."""
    uv, python = str(Path(sys.executable).parent / "uv"), str(tmp_path / "bin" / "python")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(tmp_path)], check=True)
    for step in (["sync", str(LOCKS / f"{role}.txt")], ["install", "--no-deps", str(ROOT)]):
        subprocess.run([uv, "pip", *step, "--quiet", "--python", python], check=True)
    done = subprocess.run(
        [str(tmp_path / "bin" / "sampan"), verb, "--help"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert "--port" in done.stdout or "--health-port" in done.stdout
