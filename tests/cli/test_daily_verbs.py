"""`sampan diff`, `events`, `export`, `get all`, `edit`, `describe`, beside a Sampan that is up."""

from __future__ import annotations

import json
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

OBJECTS = """\
apiVersion: serving.kserve.io/v1alpha1
kind: ServingRuntime
metadata: {name: %(name)s}
spec:
  supportedModelFormats: [{name: %(name)s, version: "1", autoSelect: true}]
  protocolVersions: [v1]
  containers:
  - name: kserve-container
    image: nowhere/none
    env: [{name: A, valueFrom: {secretKeyRef: {name: %(name)s-keys, key: a}}}]
---
apiVersion: v1
kind: Secret
metadata: {name: %(name)s-keys}
stringData: {a: geheim}
---
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {name: %(name)s, labels: {of: %(name)s}}
spec:
  predictor:
    minReplicas: 1
    model: {modelFormat: {name: %(name)s}, storageUri: "pvc://claim/x"}
"""


@pytest.fixture
def moss(here: Path, cli: Callable[..., Any], request: pytest.FixtureRequest) -> Iterator[str]:
    """The name of a service with a runtime and a Secret of its own, as applied from `moss.yaml`."""
    name = f"moss{abs(hash(request.node.name)) % 10**6}"
    (here / "moss.yaml").write_text(OBJECTS % {"name": name})
    assert cli("apply", "-f", "moss.yaml").code == 0
    yield name
    assert cli("delete", "-f", str(here / "moss.yaml")).code == 0


def until(holds: Callable[[], bool]) -> None:
    limit = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < limit
        time.sleep(0.1)


# -- diff ----------------------------------------------------------------------------------------


def test_what_is_applied_does_not_differ(here: Path, cli: Callable[..., Any], moss: str) -> None:
    done = cli("diff", "-f", "moss.yaml")
    assert (done.code, done.out) == (0, "")


def test_a_change_is_shown_by_the_defaulted_object_and_ends_with_1(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    (here / "moss.yaml").write_text((here / "moss.yaml").read_text().replace("claim/x", "claim/y"))
    done = cli("diff", "-f", "moss.yaml")
    changed = [line for line in done.out.splitlines() if line.startswith(("-", "+"))]
    of = f"default/inferenceservice.serving.kserve.io/{moss}"
    assert done.code == 1
    assert changed == [
        f"--- before/{of}",
        f"+++ after/{of}",
        "-      storageUri: pvc://claim/x",
        "+      storageUri: pvc://claim/y",
    ]
    assert cli("get", "isvc", moss, "-o", "yaml").out.count("claim/x") == 1  # nothing was stored


def test_a_secret_that_differs_is_told_without_its_values(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    (here / "moss.yaml").write_text((here / "moss.yaml").read_text().replace("geheim", "hemlig"))
    done = cli("diff", "-f", "moss.yaml")
    assert "-  a: '*** (before)'\n+  a: '*** (after)'" in done.out
    assert not {"geheim", "hemlig", "Z2VoZWlt", "aGVtbGln"} & set(
        done.out.replace("'", " ").split()
    )


def test_files_are_compared_with_files_without_a_sampan(
    nowhere: Path, cli: Callable[..., Any]
) -> None:
    one, two = nowhere / "one.yaml", nowhere / "two.yaml"
    one.write_text(OBJECTS % {"name": "moss"})
    two.write_text(one.read_text().replace("minReplicas: 1", "minReplicas: 2"))
    same = cli("diff", "-f", str(one), "--against", str(one))
    assert (same.code, same.out) == (0, "")
    done = cli("diff", "-f", str(two), "--against", str(one))
    assert (done.code, "-    minReplicas: 1\n+    minReplicas: 2" in done.out) == (1, True)
    # spelled otherwise, defaulted to the same
    one.write_text("apiVersion: v1\nkind: Namespace\nmetadata: {name: a}\n")
    two.write_text(
        '{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "a"}, "spec": null}'
    )
    assert cli("diff", "-f", str(two), "--against", str(one)).code == 0


def test_what_is_there_on_one_side_only_is_shown_whole(
    nowhere: Path, cli: Callable[..., Any]
) -> None:
    one, two = nowhere / "one.yaml", nowhere / "two.yaml"
    one.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n")
    two.write_text("apiVersion: v1\nkind: ConfigMap\nmetadata: {name: b}\n")
    out = cli("diff", "-f", str(two), "--against", str(one)).out
    assert "--- before/default/configmap/a\n+++ /dev/null" in out
    assert "--- /dev/null\n+++ after/default/configmap/b" in out


@pytest.mark.parametrize("against", [(), ("--against", "f.yaml")], ids=["live", "offline"])
def test_a_mistake_ends_with_2_for_1_says_that_something_differs(
    here: Path, cli: Callable[..., Any], against: tuple[str, ...]
) -> None:
    (here / "f.yaml").write_text(OBJECTS.replace("minReplicas", "minReplcas") % {"name": "a"})
    done = cli("diff", "-f", "f.yaml", *against)
    assert (done.code, done.out) == (2, "")
    assert 'unknown field "spec.predictor.minReplcas"; did you mean "minReplicas"' in done.err


# -- events --------------------------------------------------------------------------------------


def test_events_of_a_service_say_what_happened_to_it(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    until(lambda: "ImageNotRunnable" in cli("events", moss).out)
    header, *rows = cli("events", f"isvc/{moss}", "--types", "Warning").out.splitlines()
    assert header.split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert all("Warning" in row and f"inferenceservice/{moss}" in row for row in rows)
    told = json.loads(cli("events", "-A", "-o", "json").out)
    assert moss in {event["involvedObject"]["name"] for event in told["items"]}
    assert moss in cli("events", "-A").out


def test_events_of_what_is_not_there_are_an_error_and_of_what_had_none_are_not(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    assert cli("events", "nope").code == 1
    done = cli("events", f"secret/{moss}-keys")
    assert (done.code, done.out, done.err) == (0, "", "No events found.\n")


def test_events_can_be_followed(
    here: Path, cli: Callable[..., Any], moss: str, tmp_path: Path
) -> None:
    log = tmp_path / "events"
    with log.open("w") as out:
        command = [str(Path(sys.executable).parent / "sampan"), "events", "-w", "-A"]
        follower = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
    try:
        until(lambda: log.read_text() != "")  # the list has come, so what follows is watched
        text = OBJECTS % {"name": f"{moss}-more"}
        (here / "more.yaml").write_text(text)
        assert cli("apply", "-f", "more.yaml").code == 0
        until(lambda: f"inferenceservice/{moss}-more" in log.read_text())
    finally:
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 130
    assert cli("delete", "-f", "more.yaml").code == 0


# -- export --------------------------------------------------------------------------------------


def test_an_export_is_what_was_applied_with_what_it_names_and_no_secret(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    until(lambda: "status:" in cli("get", "isvc", moss, "-o", "yaml").out)
    out = cli("export", moss).out
    runtime, _, service = yaml.safe_load_all(OBJECTS % {"name": moss})
    found = list(yaml.safe_load_all(out))
    for obj in (runtime, service):
        obj["metadata"]["namespace"] = "default"
    assert found == [runtime, service]
    assert out.splitlines()[:2] == [
        '# needs PersistentVolumeClaim "claim", with the model in it',
        f'# needs Secret "{moss}-keys", with values for "a"; values are not exported',
    ]
    assert "geheim" not in out
    assert list(yaml.safe_load_all(cli("export", moss, "--alone").out)) == [service]


def test_an_export_applied_again_changes_nothing(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    (here / "again.yaml").write_text(cli("export", moss).out)
    assert cli("diff", "-f", "again.yaml").code == 0


def test_defaults_are_left_out_of_what_was_created_and_own_words_kept(
    here: Path, cli: Callable[..., Any]
) -> None:
    from sampan.app.offline_admission import judge
    from sampan.app.portable import make_portable

    (sent,) = list(yaml.safe_load_all(OBJECTS % {"name": "moss"}))[2:]
    stored = judge(sent, {}).obj
    assert stored is not None
    assert stored["spec"] != sent["spec"]
    short = make_portable(
        {**stored, "status": {"url": "x"}}, lambda o: judge(o, {}, strict=False).obj
    )
    sent["metadata"]["namespace"] = "default"
    assert short == sent


def test_a_secret_is_not_exported(here: Path, cli: Callable[..., Any], moss: str) -> None:
    done = cli("export", f"secret/{moss}-keys")
    assert (done.code, done.out) == (1, "")
    assert "secrets are not exported" in done.err


# -- get all, describe ---------------------------------------------------------------------------


def test_get_all_shows_the_kinds_that_have_objects(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    out = cli("get", "all", "-l", f"of={moss}").out
    assert f"inferenceservice.serving.kserve.io/{moss}" in out
    assert "trainedmodel" not in out
    assert cli("get", "all", "-l", "of=nobody").err == "No resources found in default namespace.\n"
    names = cli("get", "all", "-o", "name").out.split()
    assert f"inferenceservice.serving.kserve.io/{moss}" in names


def test_every_kind_can_be_described_and_a_secret_shows_no_value(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    from sampan.api.scheme import REGISTRY

    out = cli("describe", "secret", f"{moss}-keys").out
    assert "a: 6 bytes" in out
    assert "Z2VoZWlt" not in out
    for resource in REGISTRY:
        listed = json.loads(cli("get", resource.plural, "-A", "-o", "json").out)
        for obj in listed["items"][:1]:
            name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace", "default")
            told = cli("describe", f"{resource.plural}/{name}", "-n", namespace)
            assert (told.code, told.err) == (0, "")
            assert f"Kind:       {resource.kind} ({resource.api_version})" in told.out


# -- why -----------------------------------------------------------------------------------------


def test_why_speaks_of_every_kind_and_says_who_uses_what(
    here: Path, cli: Callable[..., Any], moss: str
) -> None:
    until(lambda: moss in cli("why", f"servingruntime/{moss}").out)
    runtime = cli("why", "servingruntime", moss)
    assert (runtime.code, runtime.out.splitlines()[0]) == (
        0,
        f'ServingRuntime "{moss}" is in order',
    )
    assert f'Secret "{moss}-keys" is there' in runtime.out
    assert f'InferenceService "{moss}"' in runtime.out
    secret = json.loads(cli("why", f"secret/{moss}-keys", "-o", "json").out)
    assert (secret["about"], secret["ready"]) == ("Secret", True)
    assert secret["links"][-1]["message"] == f'ServingRuntime "{moss}"'


def test_a_graph_says_which_of_its_services_is_not_there(
    here: Path, cli: Callable[..., Any]
) -> None:
    (here / "graph.yaml").write_text(
        "apiVersion: serving.kserve.io/v1alpha1\nkind: InferenceGraph\nmetadata: {name: chain}\n"
        "spec: {nodes: {root: {routerType: Sequence, steps: [{serviceName: nobody}]}}}\n"
    )
    assert cli("apply", "-f", "graph.yaml").code == 0
    until(lambda: "Ready " in cli("why", "ig/chain").out)
    done = cli("why", "ig/chain")
    assert done.code == 1
    assert 'InferenceService "nobody" is named and is not there' in done.out
    assert "to mend it: " in done.out
    assert cli("delete", "ig", "chain").code == 0


def test_every_kind_has_an_answer(here: Path, cli: Callable[..., Any], moss: str) -> None:
    from sampan.api.scheme import REGISTRY

    for resource in REGISTRY:
        listed = json.loads(cli("get", resource.plural, "-A", "-o", "json").out)
        for obj in listed["items"][:1]:
            if resource.plural == "events":
                continue
            name, namespace = obj["metadata"]["name"], obj["metadata"].get("namespace", "default")
            done = cli("why", f"{resource.plural}/{name}", "-n", namespace)
            assert (done.code in (0, 1), done.err) == (True, "")
            assert " is " in done.out.splitlines()[0]


# -- edit ----------------------------------------------------------------------------------------


@pytest.fixture
def editor(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Make `$EDITOR` a program that does one replacement a call, and keeps what it was shown."""

    def make(*replacements: tuple[str, str]) -> Path:
        program, shown = here / "editor.py", here / "shown"
        shown.mkdir()
        program.write_text(
            "import pathlib, sys\n"
            f"todo, shown = {list(replacements)!r}, pathlib.Path({str(shown)!r})\n"
            "number = len(list(shown.iterdir()))\n"
            "file = pathlib.Path(sys.argv[-1])\n"
            "text = file.read_text()\n"
            "(shown / str(number)).write_text(text)\n"
            "file.write_text(text.replace(*todo[number]) if number < len(todo) else text)\n"
        )
        monkeypatch.setenv("EDITOR", f"{shlex.quote(sys.executable)} {shlex.quote(str(program))}")
        for name in ("SAMPAN_EDITOR", "KUBE_EDITOR", "VISUAL"):
            monkeypatch.delenv(name, raising=False)
        return shown

    return make


def test_an_edit_is_stored(
    here: Path, cli: Callable[..., Any], moss: str, editor: Callable[..., Path]
) -> None:
    editor(("pvc://claim/x", "pvc://claim/z"))
    done = cli("edit", moss)
    assert (done.code, done.out) == (0, f"inferenceservice.serving.kserve.io/{moss} edited\n")
    assert "pvc://claim/z" in cli("get", "isvc", moss, "-o", "yaml").out


def test_a_mistake_comes_back_in_the_file_and_can_be_mended_there(
    here: Path, cli: Callable[..., Any], moss: str, editor: Callable[..., Path]
) -> None:
    shown = editor(
        ("minReplicas: 1", "minReplcas: 2"), ("\n    minReplcas: 2", "\n    minReplicas: 2")
    )
    done = cli("edit", moss)
    assert done.code == 0
    told = (shown / "1").read_text()
    assert '# InferenceService "' in told
    assert 'unknown field "spec.predictor.minReplcas"; did you mean "minReplicas"' in told
    assert "minReplicas: 2" in cli("get", "isvc", moss, "-o", "yaml").out


@pytest.mark.parametrize(
    ("change", "told"),
    [
        pytest.param(("spec:", "spec: ["), "not YAML: ", id="text that is no YAML"),
        pytest.param(
            ("\nkind: Inf", "\nkind: Onf"), 'kind was "InferenceService" and is "Onf', id="kind"
        ),
        pytest.param(("  name: moss", "  name: other"), 'metadata.name was "', id="name"),
        pytest.param(("spec:\n", "---\na: b\n---\nspec:\n"), "the file has ", id="two objects"),
        pytest.param(("  uid: ", "  uid: 0"), "uid", id="another uid"),
    ],
)
def test_an_edit_that_cannot_be_is_kept_in_its_file(
    here: Path,
    cli: Callable[..., Any],
    moss: str,
    editor: Callable[..., Path],
    change: tuple[str, str],
    told: str,
) -> None:
    shown = editor(change)
    done = cli("edit", moss)
    assert done.code == 1
    assert told in (shown / "1").read_text()
    kept = Path(done.err.split()[-1])
    assert change[1].splitlines()[0] in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    kept.unlink()


@pytest.fixture
def meddled(here: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """An editor that sets 3 replicas, while somebody else applies the file with a change."""

    def make(old: str, new: str) -> Path:
        other, log, script = here / "other.yaml", here / "log", here / "editor.sh"
        other.write_text((here / "moss.yaml").read_text().replace(old, new))
        script.write_text(
            f'#!/bin/sh\ncp "$1" {log}\n[ -e {here}/done ] && exit 0\ntouch {here}/done\n'
            f"{Path(sys.executable).parent}/sampan apply -f {other} >/dev/null\n"
            'sed -i s/minReplicas:.1/minReplicas:\\ 3/ "$1"\n'
        )
        script.chmod(0o755)
        monkeypatch.setenv("SAMPAN_EDITOR", str(script))
        return log

    return make


def test_an_edit_goes_beside_what_somebody_else_has_changed_meanwhile(
    cli: Callable[..., Any], moss: str, meddled: Callable[[str, str], Path]
) -> None:
    meddled("claim/x", "claim/other")
    assert cli("edit", moss).code == 0
    stored = cli("get", "isvc", moss, "-o", "yaml").out
    assert "pvc://claim/other" in stored
    assert "minReplicas: 3" in stored


def test_an_edit_of_a_field_that_has_changed_meanwhile_is_told_in_the_file(
    cli: Callable[..., Any], moss: str, meddled: Callable[[str, str], Path]
) -> None:
    log = meddled("minReplicas: 1", "minReplicas: 2")
    done = cli("edit", moss)
    assert done.code == 1
    assert (
        "# spec.predictor.minReplicas was changed meanwhile to 2; leave it so, or edit it anew"
        in log.read_text()
    )
    Path(done.err.split()[-1]).unlink()


def test_an_edit_that_was_not_saved_as_text_is_told(
    here: Path, cli: Callable[..., Any], moss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = here / "editor.sh"
    script.write_text('printf "\\377" > "$1"\n')
    monkeypatch.setenv("SAMPAN_EDITOR", f"sh {script}")
    done = cli("edit", moss)
    assert done.code == 1
    assert "cannot be read" in done.err
    assert "save it as UTF-8" in done.err


def test_nothing_changed_is_said_and_an_editor_that_is_not_there_is_named(
    here: Path, cli: Callable[..., Any], moss: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMPAN_EDITOR", "true")
    done = cli("edit", moss)
    assert (done.code, done.out) == (0, "Edit cancelled, no changes made.\n")
    monkeypatch.setenv("SAMPAN_EDITOR", "no-such-editor -w")
    done = cli("edit", moss)
    assert done.code == 2
    assert 'the editor "no-such-editor -w" cannot be started' in done.err
