"""What JPMML cannot read, told with both versions, in the environment that the platform builds."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

_SPEC = importlib.util.spec_from_file_location(
    "format_servers", Path(__file__).with_name("format_servers.py")
)
servers = importlib.util.module_from_spec(_SPEC)
sys.modules["format_servers"] = servers
_SPEC.loader.exec_module(servers)

LOAD = """
import sys
from importlib.metadata import version
from pathlib import Path
from sampan.runtimes.pmml import PMMLModel
from sampan.server.load_failure import LoadFailure

for folder in sys.argv[1:]:
    try:
        PMMLModel("m", folder).load()
    except LoadFailure as failure:
        told = failure.message.replace(version("jpmml-evaluator"), "INSTALLED")
        print("told", Path(folder).name, failure.reason, told, sep="|")
"""
MODELS = {
    "newer": '<PMML xmlns="http://www.dmg.org/PMML-9_9" version="9.9"><Header/></PMML>',
    "empty": '<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Header/></PMML>',
    "cut": '<PMML xmlns="http://www.dmg.org/PMML-4_4" version="4.4"><Head',
    "other": "<html/>",
}


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_cannot_be_read_names_both_versions_and_the_mend(tmp_path):
    for name, text in MODELS.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.pmml").write_text(text)
    python = servers.engine_python("pmml")
    command = [python, "-c", LOAD, *(str(tmp_path / name) for name in MODELS)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=240, check=True)
    lines = [line.split("|") for line in ended.stdout.splitlines() if line.startswith("told|")]
    told = {name: words for _, name, *words in lines}  # Java has words of its own there
    assert set(told) == set(MODELS)
    both = "and cannot be read by jpmml-evaluator INSTALLED"
    assert f"is PMML 9.9 {both}" in told["newer"][1]
    assert told["newer"][0] == "ModelIncompatible"
    assert "runtimeVersion" in told["newer"][1]
    assert f"is PMML 4.4 {both}" in told["empty"][1]
    assert (told["cut"][0], "the copy is whole" in told["cut"][1]) == ("ModelCorrupt", True)
    assert f"is no PMML that tells its version {both}" in told["other"][1]
