"""Commands that are called wrongly (exit code 2), for nothing (1), or without a daemon (3)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sampan.cli.main import VERBS, main

UNUSABLE = [
    (("frobnicate",), "No such command 'frobnicate'"),
    (("aply",), "Did you mean 'apply'?"),
    (("get",), "Missing argument"),
    (("get", "--nope"), "No such option: --nope"),
    (("get", "isvc/"), 'error: "isvc/": give every argument as kind/name'),
    (("get", "isvc,cm", "a"), "names cannot be given for several kinds at once"),
    (("get", "isvc", "-o", "fancy"), 'error: -o "fancy": choose wide, yaml, json or name'),
    (("apply",), "Missing option '--filename'"),
    (("apply", "-f", "x", "-o", "fancy"), 'error: -o "fancy": choose yaml, json or name'),
    (("apply", "-f", "x", "--dry-run", "maybe"), 'error: --dry-run "maybe": choose none, server'),
    (("lint",), "lint what? Name files, folders or - for standard input"),
    (("lint", "x", "--platform", "moon"), 'error: --platform "moon": choose local or kubernetes'),
    (("diff",), "Missing option '--filename'"),
    (("events", "-o", "name"), 'error: -o "name": choose yaml or json'),
    (("events", "--types", "Bad"), 'error: --types "Bad": choose Normal or Warning'),
    (("events", "isvc", "a", "b"), "error: name one object, or none for all of the namespace"),
    (("export",), "Missing argument"),
    (("export", "a", "-o", "name"), 'error: -o "name": choose yaml or json'),
    (("export", "isvc/"), 'error: "isvc/": give every argument as kind/name'),
    (("edit",), "Missing argument"),
    (("edit", "isvc", "a", "b"), "error: edit one object at a time"),
    (("lint", "x", "-o", "xml"), 'error: -o "xml": choose text, json or sarif'),
    (("render",), "Missing option '--filename'"),
    (("render", "-f", "x", "-o", "name"), 'error: -o "name": choose yaml or json'),
    (("render", "-f", "x", "--mode", "knative"), 'error: --mode "knative": choose Standard'),
    (("delete",), "error: nothing to delete: name a KIND NAME, --all, or a file with -f"),
    (("delete", "isvc"), "error: which inferenceservices? give names, or --all"),
    (("why",), "Missing argument"),
    (("why", "cm/"), 'error: "cm/": give every argument as kind/name'),
    (("logs",), "Missing argument"),
    (("predict",), "Missing argument"),
    (("predict", "iris"), "error: give the request with -f FILE (or -f -), or with -d JSON"),
    (("up", "--port", "0"), "greater than or equal to 1"),
    (("up", "--port", "99999"), "less than or equal to 65535"),
    (("up", "--port", "http"), "Invalid value for '--port'"),
    (("run",), "Missing argument"),
]

NOT_THERE = [
    ("get", "isvc", "nope"),
    ("describe", "isvc", "nope"),
    ("events", "nope"),
    ("export", "nope"),
    ("edit", "nope"),
    ("why", "nope"),
    ("logs", "nope"),
    ("logs", "nope", "-f"),
    ("predict", "nope", "-d", '{"instances": [[1]]}'),
    ("delete", "isvc", "nope"),
]

NEEDS_A_DAEMON = [
    ("get", "isvc"),
    ("apply", "-f", "-"),
    ("describe", "isvc", "a"),
    ("diff", "-f", "-"),
    ("events",),
    ("export", "a"),
    ("edit", "a"),
    ("why", "a"),
    ("logs", "a"),
    ("predict", "a", "-d", "{}"),
    ("delete", "isvc", "a"),
]


@pytest.mark.parametrize(("args", "told"), UNUSABLE, ids=[" ".join(a) for a, _ in UNUSABLE])
def test_a_wrong_call_ends_with_2_and_says_what_is_wrong(
    here: Path, cli: Callable[..., Any], args: tuple[str, ...], told: str
) -> None:
    done = cli(*args)
    assert (done.code, done.out) == (2, "")
    assert told in done.err


@pytest.mark.parametrize("args", NOT_THERE, ids=" ".join)
def test_what_is_not_there_is_named_with_where_to_look(
    here: Path, cli: Callable[..., Any], args: tuple[str, ...]
) -> None:
    done = cli(*args)
    assert (done.code, done.out) == (1, "")
    assert done.err == (
        'error: inferenceservices.serving.kserve.io "nope" not found; '
        "see `sampan get inferenceservices`\n"
    )


@pytest.mark.parametrize("args", NEEDS_A_DAEMON, ids=" ".join)
def test_without_a_daemon_it_ends_with_3_and_says_how_to_start_one(
    nowhere: Path, cli: Callable[..., Any], args: tuple[str, ...]
) -> None:
    done = cli(*args)
    assert (done.code, done.out) == (3, "")
    assert done.err == (
        "error: no Sampan is running for this user; start one with `sampan up`, or serve a file "
        "in the foreground with `sampan run FILE`\n"
    )


def test_a_daemon_that_is_gone_but_left_its_address_is_no_daemon(
    nowhere: Path, cli: Callable[..., Any]
) -> None:
    state = nowhere / "state/sampan"
    state.mkdir(parents=True)
    (state / "daemon.json").write_text('{"host": "127.0.0.1", "port": 9, "token": "", "pid": 1}')
    assert cli("get", "isvc").code == 3


def test_down_without_a_daemon_is_no_error(nowhere: Path, cli: Callable[..., Any]) -> None:
    done = cli("down")
    assert (done.code, done.out) == (0, "nothing was running\n")


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("nonexistent", 'the server has no resource type "nonexistent"; see '),
        ("isv", 'the server has no resource type "isv"; did you mean "isvc"?'),
        ("inferenceservise", 'did you mean "inferenceservice"?'),
    ],
)
def test_a_kind_that_is_not_served_gets_the_nearest_one(
    here: Path, cli: Callable[..., Any], word: str, told: str
) -> None:
    for verb in ("get", "describe", "delete"):
        done = cli(verb, word, "a")
        assert done.code == 1
        assert told in done.err


def test_an_empty_list_is_no_error_and_says_so_beside_the_output(
    here: Path, cli: Callable[..., Any]
) -> None:
    done = cli("get", "secrets")
    assert (done.code, done.out) == (0, "")
    assert done.err == "No resources found in default namespace.\n"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("-l", "a=("), 'the selector is "a=("'),
        (("--field-selector", "a~b"), 'invalid field selector "a~b"'),
    ],
)
def test_a_selector_that_cannot_be_read_is_shown(
    here: Path, cli: Callable[..., Any], args: tuple[str, ...], told: str
) -> None:
    done = cli("get", "isvc", *args)
    assert (done.code, done.out) == (1, "")
    assert told in done.err


def test_up_beside_a_daemon_of_another_port_says_that_it_stays(
    here: Path, cli: Callable[..., Any]
) -> None:
    done = cli("up", "--port", "18099")
    assert done.code == 0
    assert "warning: its gateway stays on port " in done.err


@pytest.mark.parametrize("verb", ["get", "serve"])
def test_ctrl_c_while_a_verb_is_imported_shows_no_stack(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    (tmp_path / "interrupted.py").write_text("raise KeyboardInterrupt\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(VERBS, verb, "interrupted:verb")
    with pytest.raises(SystemExit) as ended:
        main([verb])
    assert ended.value.code == 130
    assert capsys.readouterr() == ("", "")
