"""BentoML's command line in ours, and two pages of metrics as one; no BentoML is needed."""

from __future__ import annotations

import pytest

from sampan.runtimes.bentoml.arguments import translate
from sampan.runtimes.bentoml.exposition import merge
from sampan.runtimes.bentoml.importing import set_variables
from sampan.runtimes.bentoml.runtime import make_offer
from sampan.runtimes.bentoml.turns import Turns
from sampan.runtimes.serving import Order
from sampan.server.load_failure import LoadFailure


@pytest.mark.parametrize(
    ("words", "made"),
    [
        pytest.param("bentoml serve", "--model_dir=/mnt/models", id="the usual folder"),
        pytest.param("bentoml serve ./iris", "--model_dir=./iris", id="a folder"),
        pytest.param(
            "bentoml serve service:Iris",
            "--model_dir=. --server_option=service=service:Iris",
            id="a service of the folder that one is in",
        ),
        pytest.param(
            "bentoml serve service:Iris --working-dir src",
            "--model_dir=src --server_option=service=service:Iris",
            id="a service of another folder",
        ),
        pytest.param(
            "serve . --port 3001 --host=0.0.0.0 --production",
            "--http_port=3001 --host=0.0.0.0 --model_dir=.",
            id="port and host",
        ),
        pytest.param(
            "--runtime=bentoml --trust --model_dir=m --model_name x",
            "--runtime=bentoml --trust --model_dir=m --model_name x",
            id="our own arguments stay",
        ),
    ],
)
def test_its_command_line_is_ours(words, made):
    assert " ".join(translate(words.split(), {}).argv) == made


def test_its_variables_count_where_no_argument_does():
    environ = {"BENTOML_PORT": "3000", "BENTOML_HOST": "127.0.0.2"}
    argv = translate(["serve", ".", "-p", "3001"], environ).argv
    assert argv == ("--http_port=3001", "--model_dir=.", "--host=127.0.0.2")


def test_what_has_no_effect_is_told():
    (sentence,) = translate(["serve", ".", "--api-workers", "4"], {}).warnings
    assert sentence == (
        'argument "--api-workers" is not honoured: a process serves one instance; raise minReplicas'
    )


def test_pages_of_metrics_are_joined_without_a_family_twice():
    ours = b"# HELP a of ours\n# TYPE a counter\na_total 1\n"
    theirs = (
        b"# HELP a of theirs\n# TYPE a counter\na_total 7\n"
        b'# HELP b of theirs\n# TYPE b gauge\nb 2\nb{x="1"} 3\n'
    )
    assert merge(ours, theirs) == ours + b'# HELP b of theirs\n# TYPE b gauge\nb 2\nb{x="1"} 3\n'
    assert merge(ours, b"") == ours


class Variable:
    def __init__(self, name: str, value: str, stage: str = "all") -> None:
        self.name, self.value, self.stage = name, value, stage


def test_variables_of_a_service_are_set_where_the_environment_has_none():
    environ = {"A": "mine"}
    wanted = [Variable("A", "1"), Variable("B", "2"), Variable("C", "", "build")]
    set_variables(wanted, environ)
    assert environ == {"A": "mine", "B": "2"}
    with pytest.raises(LoadFailure, match='asks for the variable "D", which is not set; set it'):
        set_variables([Variable("D", "")], environ)


def test_a_bento_that_is_not_trusted_is_not_looked_at(tmp_path):
    with pytest.raises(LoadFailure) as caught:
        make_offer(Order("iris", tmp_path / "none"))
    assert caught.value.reason == "ModelUntrusted"
    assert "serving.sampan.dev/trust" in caught.value.message


async def test_calls_on_threads_take_turns_with_ours():
    turns = Turns(1)

    async def to_thread(function, *arguments):
        assert not turns.free
        return function(*arguments)

    assert await turns.guard(to_thread)(max, 1, 3, key=lambda n: -n) == 1
    assert turns.free
