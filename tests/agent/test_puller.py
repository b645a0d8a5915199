"""Models that come and go by a list: what is to be done, and a real agent that does it."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.agent.agent_process import wait_for

from sampan.agent.model_list import ModelSpec, diff, parse_models
from sampan.agent.puller import recover

QUEUE = {"K-Network-Probe": "queue"}
SPECS = st.dictionaries(
    st.sampled_from("abcd"), st.builds(ModelSpec, st.sampled_from(["file:///1", "file:///2"]))
)


def entry(name: str, uri: str) -> dict[str, Any]:
    return {"modelName": name, "modelSpec": {"storageUri": uri, "framework": "x", "memory": "1Gi"}}


def mount(config: Path, entries: list[dict[str, Any]], number: int) -> None:
    """Write the list as a kubelet does: a new folder, and one rename of `..data`."""
    data = config / f"..{number}"
    data.mkdir(parents=True)
    (data / "models.json").write_text(json.dumps(entries))
    link = config / "..data_tmp"
    link.symlink_to(data.name)
    link.replace(config / "..data")
    if not (config / "models.json").is_symlink():
        (config / "models.json").symlink_to("..data/models.json")


# -- decisions -------------------------------------------------------------------------------------


@given(SPECS, SPECS)
def test_removing_and_adding_what_differs_makes_what_is_wanted(known, wanted):
    gone, new = diff(known, wanted)
    left = {name: spec for name, spec in known.items() if name not in gone}
    assert {**left, **{name: wanted[name] for name in new}} == wanted
    assert diff(wanted, wanted) == ((), ())


@pytest.mark.parametrize(
    ("text", "told"),
    [
        pytest.param("{", "no JSON", id="no JSON"),
        pytest.param("{}", "no list", id="no list"),
        pytest.param(json.dumps([entry("../x", "file:///x")]), '"../x"', id="a way out"),
        pytest.param(json.dumps([{"modelName": "m"}]), '"m" has no storageUri', id="no URI"),
    ],
)
def test_a_list_that_cannot_be_followed_is_told(text, told):
    with pytest.raises(ValueError, match=r"models\.json") as error:
        parse_models(text)
    assert told in str(error.value)


def test_a_mark_is_written_as_go_writes_it():
    spec = ModelSpec("https://h/a?b=1&c=<2>", "sklearn", "1G")
    assert spec.render() == (
        '{"storageUri":"https://h/a?b=1\\u0026c=\\u003c2\\u003e","framework":"sklearn","memory":"1G"}'
    )
    assert len(spec.mark) == len("SUCCESS.") + 64


def test_only_whole_models_are_found_again(tmp_path):
    spec = ModelSpec("file:///x")
    for name in ("whole", "half", "other"):
        (tmp_path / name).mkdir()
    (tmp_path / "whole" / spec.mark).write_text(spec.render())
    (tmp_path / "other" / spec.mark).write_text(ModelSpec("file:///y").render())
    assert recover(tmp_path) == {"whole": spec}


# -- a process -------------------------------------------------------------------------------------


@pytest.fixture
def folders(tmp_path) -> tuple[Path, Path]:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.txt").write_text(name)
    (tmp_path / "models").mkdir()
    return tmp_path / "configs", tmp_path / "models"


@pytest.mark.slow
def test_models_come_change_and_go_as_the_list_says(peer, agent, folders, tmp_path):
    config, models = folders
    server, port = peer(lambda _: (200, {}, b"{}"))
    one, two = (f"file://{tmp_path / name}" for name in ("one", "two"))
    mount(config, [entry("a", one), entry("b", two)], 1)
    arguments = ("--enable-puller", "--config-dir", str(config), "--model-dir", str(models))
    running = agent(*arguments, "--component-port", str(port))
    wait_for(lambda: httpx.get(running.url, headers=QUEUE).status_code == 200)
    loads = {server.next().path for _ in range(2)}
    assert loads == {f"/v2/repository/models/{name}/load" for name in "ab"}
    assert (models / "a" / "model.txt").read_text() == "one"
    assert recover(models).keys() == {"a", "b"}
    mount(config, [entry("a", two)], 2)
    told = sorted(server.next().path.rpartition("models/")[2] for _ in range(3))
    assert told == ["a/load", "a/unload", "b/unload"]
    assert (models / "a" / "model.txt").read_text() == "two"
    assert [p.name for p in models.iterdir()] == ["a"]
    assert running.stop() == 0


@pytest.mark.slow
def test_a_model_that_was_here_before_is_loaded_and_not_fetched_again(
    peer, agent, folders, tmp_path
):
    config, models = folders
    server, port = peer(lambda _: (200, {}, b"{}"))
    mount(config, [entry("a", f"file://{tmp_path / 'one'}")], 1)
    spec = parse_models((config / "models.json").read_text())["a"]
    (models / "a").mkdir()
    (models / "a" / spec.mark).write_text(spec.render())
    (models / "a" / "kept.txt").touch()
    shutil.rmtree(tmp_path / "one")
    agent(
        "--enable-puller", "--config-dir", str(config), "--model-dir", str(models),
        "--component-port", str(port),
    )  # fmt: skip
    assert server.next().path == "/v2/repository/models/a/load"
    assert (models / "a" / "kept.txt").exists()


@pytest.mark.slow
def test_a_model_that_cannot_be_fetched_is_told_and_keeps_no_other_waiting(
    peer, agent, folders, tmp_path
):
    config, models = folders
    server, port = peer(lambda _: (200, {}, b"{}"))
    entries = [entry("bad", "file:///nope/x"), entry("a", f"file://{tmp_path / 'one'}")]
    mount(config, entries, 1)
    running = agent(
        "--enable-puller", "--config-dir", str(config), "--model-dir", str(models),
        "--component-port", str(port),
    )  # fmt: skip
    assert server.next().path == "/v2/repository/models/a/load"
    wait_for(lambda: httpx.get(running.url, headers=QUEUE).status_code == 200)
    assert 'model "bad" was not fetched' in running.told()


@pytest.mark.slow
def test_a_real_server_of_many_models_predicts_what_the_agent_pulled(agent, folders, tmp_path):
    from tests.agent.real_server import ModelServer

    config, models = folders
    mount(config, [], 1)
    with ModelServer(models, tmp_path) as server:
        running = agent(
            "--enable-puller", "--config-dir", str(config), "--model-dir", str(models),
            "--component-port", str(server.port),
        )  # fmt: skip
        mount(config, [entry("iris", f"file://{server.train(tmp_path / 'trained')}")], 2)
        wait_for(lambda: 'model "iris" is loaded' in running.told())
        body = {"instances": [[6.8, 2.8, 4.8, 1.4]]}
        answer = httpx.post(f"{running.url}/v1/models/iris:predict", json=body, timeout=30)
        assert answer.json() == {"predictions": [1]}
        mount(config, [], 3)
        wait_for(lambda: 'model "iris" is removed' in running.told())
        answer = httpx.post(f"{running.url}/v1/models/iris:predict", json=body, timeout=30)
        assert answer.status_code == 404
    assert os.listdir(models) == []  # noqa: PTH208  # names are enough
