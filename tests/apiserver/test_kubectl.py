"""The real kubectl writes: every command that we promise, as a user types it."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest


def test_apply_prunes_what_was_removed_from_the_file(kube):
    kube.run("apply", "-f", "-", stdin=kube.configmap("pruned") + '  extra: "1"\n')
    kube.run("apply", "-f", "-", stdin=kube.configmap("pruned"))
    found = json.loads(kube.run("get", "cm", "pruned", "-o", "json"))
    assert found["data"] == {"size": "1"}


def test_server_side_apply_owns_fields_and_refuses_to_take_anothers(kube):
    assert "serverside-applied" in kube.run(
        "apply", "--server-side", "-f", "-", stdin=kube.widget("owned")
    )
    again = ("apply", "--server-side", "--field-manager=other", "-f", "-")
    said = kube.run(*again, stdin=kube.widget("owned", 9), code=1)
    assert 'conflict with "kubectl": .spec.size' in said
    kube.run(*again, "--force-conflicts", stdin=kube.widget("owned", 9))
    assert kube.run("get", "wd", "owned", "-o", "jsonpath={.spec.size}") == "9"
    managed = json.loads(kube.run("get", "wd", "owned", "-o", "json", "--show-managed-fields"))
    names = [m["manager"] for m in managed["metadata"]["managedFields"]]
    assert names == ["kubectl", "other"]


def test_server_side_apply_takes_over_from_client_side_apply(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("moved"))
    kube.run("apply", "--server-side", "-f", "-", stdin=kube.widget("moved", 7))
    assert kube.run("get", "wd", "moved", "-o", "jsonpath={.spec.size}") == "7"


def test_a_dry_run_answers_with_the_result_and_stores_nothing(kube):
    said = kube.run("apply", "--dry-run=server", "-f", "-", stdin=kube.widget("dry"))
    assert "created (server dry run)" in said
    assert "not found" in kube.run("get", "widget", "dry", code=1)
    kube.run("create", "cm", "dry", "--from-literal=a=b", "--dry-run=server")
    assert "not found" in kube.run("get", "cm", "dry", code=1)


def test_diff_shows_what_apply_would_change(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("diffed"))
    assert kube.run("diff", "-f", "-", stdin=kube.widget("diffed")) == ""
    said = kube.run("diff", "-f", "-", stdin=kube.widget("diffed", 4), code=1)
    assert "-  size: 3" in said
    assert "+  size: 4" in said


def test_create_from_a_file_and_a_second_time_says_that_it_exists(kube):
    assert "created" in kube.run("create", "-f", "-", stdin=kube.widget("made"))
    said = kube.run("create", "-f", "-", stdin=kube.widget("made"), code=1)
    assert 'Error from server (AlreadyExists): error when creating "STDIN"' in said
    assert 'widgets.example.sampan.dev "made" already exists' in said


def test_create_completes_a_generated_name_each_time_anew(kube):
    made = kube.widget("x").replace("name: x", "generateName: made-of-", 1)
    names = {kube.run("create", "-o", "name", "-f", "-", stdin=made).strip() for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("widget.example.sampan.dev/made-of-") for name in names)


def test_replace_of_an_older_version_is_a_conflict_and_changes_nothing(kube):
    kube.run("create", "-f", "-", stdin=kube.widget("raced", 3))
    older = kube.run("get", "widget", "raced", "-o", "yaml").replace("size: 3", "size: 99")
    kube.run("patch", "widget", "raced", "--type=json",
             '-p=[{"op": "replace", "path": "/spec/size", "value": 9}]')  # fmt: skip
    said = kube.run("replace", "-f", "-", stdin=older, code=1)
    assert "Error from server (Conflict)" in said
    assert "the object has been modified" in said
    assert kube.run("get", "widget", "raced", "-o", "jsonpath={.spec.size}") == "9"


def test_a_json_patch_whose_test_fails_changes_nothing(kube):
    kube.run("create", "-f", "-", stdin=kube.widget("tested", 3))
    steps = [{"op": "test", "path": "/spec/size", "value": 4},
             {"op": "replace", "path": "/spec/size", "value": 5}]  # fmt: skip
    kube.run("patch", "widget", "tested", "--type=json", f"-p={json.dumps(steps)}", code=1)
    assert kube.run("get", "widget", "tested", "-o", "jsonpath={.spec.size}") == "3"


def test_create_of_core_kinds_by_command_comes_in_protobuf(kube):
    kube.run("create", "cm", "typed", "--from-literal=a=b", "--from-literal=c=d")
    kube.run("create", "secret", "generic", "typed", "--from-literal=key=value")
    kube.run("create", "serviceaccount", "typed")
    kube.run("create", "namespace", "typed")
    assert kube.run("get", "cm", "typed", "-o", "jsonpath={.data}") == '{"a":"b","c":"d"}'
    assert kube.run("get", "secret", "typed", "-o", "jsonpath={.data.key}") == "dmFsdWU="
    assert kube.run("get", "ns", "typed", "-o", "jsonpath={.status.phase}") == "Active"


def test_replace_swaps_the_whole_object(kube):
    kube.run("create", "-f", "-", stdin=kube.widget("replaced"))
    assert "replaced" in kube.run("replace", "-f", "-", stdin=kube.widget("replaced", 8))
    assert kube.run("get", "widget", "replaced", "-o", "jsonpath={.spec.size}") == "8"


@pytest.mark.parametrize(
    ("kind", "patch"),
    [
        ("strategic", '{"data":{"a":"2","b":null}}'),
        ("merge", '{"data":{"a":"2","b":null}}'),
        (
            "json",
            '[{"op":"replace","path":"/data/a","value":"2"},{"op":"remove","path":"/data/b"}]',
        ),
    ],
)
def test_patch_of_each_type_changes_a_core_kind(kube, kind, patch):
    kube.run("create", "cm", f"by-{kind}", "--from-literal=a=1", "--from-literal=b=1")
    assert "patched" in kube.run("patch", "cm", f"by-{kind}", f"--type={kind}", "-p", patch)
    assert kube.run("get", "cm", f"by-{kind}", "-o", "jsonpath={.data}") == '{"a":"2"}'
    assert "(no change)" in kube.run("patch", "cm", f"by-{kind}", "-p", '{"data":{"a":"2"}}')


def test_a_custom_kind_takes_no_strategic_patch(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("custom"))
    said = kube.run("patch", "widget", "custom", "-p", '{"spec":{"size":4}}', code=1)
    assert "application/strategic-merge-patch+json" in said or "not supported" in said


def test_edit_stores_what_the_editor_left(kube, tmp_path: Path):
    kube.run("apply", "-f", "-", stdin=kube.widget("edited"))
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/size: 3/size: 6/" "$1"\n')
    editor.chmod(editor.stat().st_mode | stat.S_IXUSR)
    assert "edited" in kube.run("edit", "widget", "edited", KUBE_EDITOR=str(editor))
    assert kube.run("get", "widget", "edited", "-o", "jsonpath={.spec.size}") == "6"


def test_label_and_annotate_add_and_remove(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("marked"))
    assert "labeled" in kube.run("label", "widget", "marked", "tier=gold")
    assert "annotated" in kube.run("annotate", "widget", "marked", "note=hello")
    assert kube.run("get", "widget", "-l", "tier=gold", "-o", "name").count("marked") == 1
    assert "unlabeled" in kube.run("label", "widget", "marked", "tier-")
    assert "No resources found" in kube.run("get", "widget", "-l", "tier=gold")


def test_delete_by_file_by_label_and_all(kube):
    kube.run("create", "namespace", "cleared")
    for name in ("one", "two", "three"):
        kube.run("apply", "-n", "cleared", "-f", "-", stdin=kube.configmap(name))
    assert "deleted" in kube.run("delete", "-n", "cleared", "-f", "-", stdin=kube.configmap("one"))
    assert "two" in kube.run("delete", "-n", "cleared", "cm", "-l", "app=two")
    assert "three" in kube.run("delete", "-n", "cleared", "cm", "--all")
    assert "No resources found" in kube.run("get", "-n", "cleared", "cm")
    assert "NotFound" in kube.run("delete", "-n", "cleared", "cm", "one", code=1)


def test_deleting_a_namespace_removes_what_is_in_it(kube):
    kube.run("create", "namespace", "gone")
    kube.run("apply", "-n", "gone", "-f", "-", stdin=kube.widget("inside"))
    assert "deleted" in kube.run("delete", "namespace", "gone", "--timeout=10s")
    assert "not found" in kube.run("get", "namespace", "gone", code=1)
    said = kube.run("apply", "-n", "gone", "-f", "-", stdin=kube.widget("inside"), code=1)
    assert 'namespaces "gone" not found' in said


@pytest.mark.parametrize("cascade", ["background", "foreground", "orphan"])
def test_delete_treats_dependents_as_its_cascade_says(kube, cascade):
    name = f"owner-{cascade}"
    kube.run("apply", "-f", "-", stdin=kube.widget(name))
    uid = kube.run("get", "widget", name, "-o", "jsonpath={.metadata.uid}")
    dependent = json.dumps(
        {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": name,
                "ownerReferences": [
                    {
                        "apiVersion": "example.sampan.dev/v1",
                        "kind": "Widget",
                        "name": name,
                        "uid": uid,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
        }
    )
    kube.run("create", "-f", "-", stdin=dependent)
    kube.run("delete", "widget", name, f"--cascade={cascade}", "--timeout=10s")
    if cascade == "orphan":
        assert kube.run("get", "cm", name, "-o", "jsonpath={.metadata.ownerReferences}") == ""
    else:
        kube.run("wait", "--for=delete", f"cm/{name}", "--timeout=10s")


def test_warnings_of_unknown_fields_are_errors_unless_asked_otherwise(kube):
    text = kube.widget("strict") + "  colour: red\n"
    said = kube.run("apply", "-f", "-", stdin=text, code=1)
    assert 'strict decoding error: unknown field "spec.colour"' in said
    said = kube.run("apply", "--validate=warn", "-f", "-", stdin=text)
    assert 'Warning: unknown field "spec.colour"' in said
    assert "created" in said


def test_refusals_are_told_in_kubernetes_words(kube):
    said = kube.run("apply", "-f", "-", stdin=kube.widget("negative", -1), code=1)
    assert (
        'admission webhook "widget.sampan-webhook-server.validator" denied the request: '
        "widgets are never negative"
    ) in said
    said = kube.run("apply", "-f", "-", stdin=kube.widget("Upper"), code=1)
    assert 'The Widget "Upper" is invalid' in said or 'Widget.example.sampan.dev "Upper"' in said
    assert "a lowercase RFC 1123 subdomain must consist of" in said
