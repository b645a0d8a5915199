"""What an operator sets, and what is said to one who sets it wrong."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sampan.app.operator_settings import (
    SETTINGS,
    OperatorSettings,
    OperatorSettingsError,
    read_operator_settings,
)
from sampan.storage.base import FetchOptions

PAGE = Path(__file__).parents[2] / "docs/reference/settings.md"
ABSENT = Path("/nonexistent/config.yaml")


def read(folder: Path, text: str, **environ: str) -> OperatorSettings:
    file = folder / "config.yaml"
    file.write_text(text)
    return read_operator_settings(file, environ)


def complaints(folder: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(OperatorSettingsError) as caught:
        read(folder, text, **environ)
    return str(caught.value).replace(f"{folder}/", "").splitlines()


def test_without_file_and_variables_the_defaults_hold(tmp_path):
    options = read_operator_settings(ABSENT, {}).fetch_options(tmp_path, tmp_path)
    assert options == FetchOptions(cache=tmp_path, volumes=tmp_path)


def test_the_file_sets_what_it_names_and_nothing_else(tmp_path):
    text = "storage:\n  reserveBytes: 2Gi\n  allowPrivateSources: [models.lan, 10.0.0.0/8]\n"
    options = read(tmp_path, text).fetch_options(tmp_path, tmp_path)
    assert options == FetchOptions(
        cache=tmp_path,
        volumes=tmp_path,
        reserve_bytes=2 * 1024**3,
        allowed_private_hosts=("models.lan", "10.0.0.0/8"),
    )


def test_a_variable_wins_over_the_file(tmp_path):
    settings = read(tmp_path, "storage:\n  stallSeconds: 5\n", SAMPAN_STALL_SECONDS="2.5")
    assert settings.storage == {"stall_seconds": 2.5}


def test_an_empty_file_and_an_empty_variable_set_nothing(tmp_path):
    assert read(tmp_path, "# nothing yet\n", SAMPAN_STALL_SECONDS="").storage == {}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param(
            "storage:\n  reserveByte: 3\n",
            ['config.yaml:2: unknown setting "reserveByte"; did you mean "reserveBytes"'],
            id="a misspelt key gets the nearest one",
        ),
        pytest.param(
            "log: x\n",
            ['config.yaml:1: unknown setting "log"; known are storage'],
            id="an unknown key gets the known ones",
        ),
        pytest.param(
            "storage: fast\n",
            [
                ('config.yaml:1: "storage" is no object; write settings as "allowPrivateSources" '
                "below it")
            ],
            id="a section that is no object is told so",
        ),
        pytest.param(
            "storage:\n  stallSeconds: 0\n  maxArchiveFiles: 1.5\n  maxArchiveRatio: 0.5\n",
            [
                ('config.yaml:2: storage.stallSeconds: "0" cannot be used; '
                'write a number of seconds above 0, as "30"'),
                ('config.yaml:3: storage.maxArchiveFiles: "1.5" cannot be used; '
                'write a whole number from 1, as "5"'),
                ('config.yaml:4: storage.maxArchiveRatio: "0.5" cannot be used; '
                'write a number from 1, as "200"'),
            ],
            id="several wrong values are told at once, each with its line",
        ),
        pytest.param(
            "storage:\n  allowPrivateSources: [http://models.lan/]\n",
            [
                ("config.yaml:2: storage.allowPrivateSources: \"['http://models.lan/']\" cannot be "
                'used; "http://models.lan/" is no host name, address or network; '
                'write "models.lan"')
            ],
            id="a URL is no host",
        ),
        pytest.param(
            "storage: {reserveBytes: 1, reserveBytes: 2}\n",
            ['config.yaml:1:28: '],
            id="a key that is written twice is an error",
        ),
        pytest.param("storage: [\n", ["config.yaml:2:1: "], id="broken YAML has line and column"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_with_place_value_and_mend(tmp_path, text, told):
    said = complaints(tmp_path, text)
    assert len(said) == len(told)
    assert all(line.startswith(begin) for line, begin in zip(said, told, strict=True)), said


def test_a_misspelt_variable_is_named_and_a_stranger_is_not(tmp_path):
    environ = {"SAMPAN_STALL_SECOND": "3", "SAMPAN_HOME": "/x", "SAMPAN_CITY": "Aberdeen"}
    with pytest.raises(OperatorSettingsError) as caught:
        read_operator_settings(ABSENT, environ)
    assert str(caught.value) == (
        'the variable "SAMPAN_STALL_SECOND" sets nothing; did you mean "SAMPAN_STALL_SECONDS"'
    )


def test_a_wrong_variable_is_told_by_its_name():
    with pytest.raises(OperatorSettingsError, match='SAMPAN_RESERVE_BYTES: "much" cannot'):
        read_operator_settings(ABSENT, {"SAMPAN_RESERVE_BYTES": "much"})


@given(value=st.text(max_size=20), index=st.integers(0, len(SETTINGS) - 1))
def test_any_value_is_taken_or_refused_by_name(value, index):
    setting = SETTINGS[index]
    told = ""
    try:
        settings = read_operator_settings(ABSENT, {setting.variable: value})
        settings.fetch_options(Path("/c"), Path("/v"))
    except OperatorSettingsError as error:
        told = str(error)
    assert not told or told.startswith(f"{setting.variable}: ")


def test_every_setting_is_a_field_of_a_fetch_and_stands_on_its_page():
    known, page = {f.name for f in fields(FetchOptions)}, PAGE.read_text()
    for setting in SETTINGS:
        assert setting.field in known
        assert f"`{setting.key}` | `{setting.variable}` |" in page
