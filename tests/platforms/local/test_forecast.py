"""What was needed last is remembered, and nothing of a service is written down."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from sampan.platforms.local.forecast import Forecast
from sampan.platforms.local.process import Zygote

USER = {"PATH": "/bin", "HOME": "/root", "HTTPS_PROXY": "http://user:secret@proxy"}
ZYGOTE = Zygote(sys.executable, ("numpy", "joblib"), "a:b")
FOLDER = str(Path(sys.executable).parent)
ENV = {**USER, "PATH": f"{FOLDER}:/bin", "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "2"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "zygotes" / "last.json"


def test_the_zygote_needed_last_is_told_with_the_environment_that_it_has_now(file: Path) -> None:
    Forecast(file, USER).note(ZYGOTE, ENV)
    assert Forecast(file, USER).read() == (ZYGOTE, ENV)
    other = {**USER, "HOME": "/home/other"}
    assert Forecast(file, other).read() == (ZYGOTE, {**ENV, "HOME": "/home/other"})
    assert file.stat().st_mode & 0o777 == 0o600


def test_no_variable_of_the_user_is_written_down(file: Path) -> None:
    Forecast(file, USER).note(ZYGOTE, ENV)
    assert "secret" not in file.read_text()


def test_a_zygote_with_a_variable_of_its_service_is_not_remembered(file: Path) -> None:
    Forecast(file, USER).note(ZYGOTE, {**ENV, "TOKEN": "secret"})
    assert not file.exists()


def test_an_environment_that_has_been_removed_is_not_told(file: Path) -> None:
    gone = Zygote("/gone/bin/python", (), "a:b")
    Forecast(file, USER).note(gone, {**USER, "PATH": "/gone/bin:/bin"})
    assert file.exists()
    assert Forecast(file, USER).read() is None


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"zygote": 1}', json.dumps({"zygote": {}})])
def test_a_file_that_is_none_tells_nothing(file: Path, text: Any) -> None:
    file.parent.mkdir()
    file.write_text(text)
    assert Forecast(file, USER).read() is None
