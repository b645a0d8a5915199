"""The real kubectl reads: every command that we promise, as a user types it."""

from __future__ import annotations

import json
import time

import pytest


def test_get_prints_the_printer_columns(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("columns", 5))
    header, row = kube.run("get", "widget", "columns").splitlines()
    assert header.split() == ["NAME", "SIZE", "READY", "AGE"]
    assert row.split()[:2] == ["columns", "5"]
    wide = kube.run("get", "widget", "columns", "-o", "wide").splitlines()
    assert wide[0].split() == ["NAME", "SIZE", "READY", "PARTS", "AGE"]
    assert "left right" in wide[1]


@pytest.mark.parametrize(
    ("output", "wanted"),
    [
        ("name", "widget.example.sampan.dev/shown\n"),
        ("jsonpath={.spec.parts[*].name}", "left right"),
        ("custom-columns=N:.metadata.name,S:.spec.size", "N       S\nshown   3\n"),
        ("go-template={{.spec.size}}", "3"),
    ],
)
def test_get_prints_in_every_form(kube, output, wanted):
    kube.run("apply", "-f", "-", stdin=kube.widget("shown"))
    assert kube.run("get", "widget", "shown", "-o", output) == wanted


def test_get_prints_yaml_and_json_that_can_be_stored_again(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("again"))
    text = kube.run("get", "widget", "again", "-o", "yaml")
    assert "kind: Widget" in text
    assert "replaced" in kube.run("replace", "-f", "-", stdin=text)
    assert json.loads(kube.run("get", "widget", "again", "-o", "json"))["spec"]["size"] == 3


def test_get_selects_by_label_field_and_across_namespaces(kube):
    kube.run("create", "namespace", "elsewhere")
    kube.run("apply", "-f", "-", stdin=kube.configmap("here"))
    kube.run("apply", "-n", "elsewhere", "-f", "-", stdin=kube.configmap("there"))
    assert kube.run("get", "cm", "-l", "app=here", "-o", "name") == "configmap/here\n"
    everywhere = kube.run("get", "cm", "-A", "-l", "app in (here,there)", "-o", "name")
    assert everywhere == "configmap/here\nconfigmap/there\n"
    named = kube.run("get", "cm", "-A", "--field-selector", "metadata.name=there")
    assert named.splitlines()[1].split()[:2] == ["elsewhere", "there"]
    said = kube.run("get", "cm", "--field-selector", "spec.x=1", code=1)
    assert 'field label not supported: "spec.x"' in said


def test_get_watches_changes_as_they_come(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("watched", 1))
    watching = kube.start("get", "widget", "watched", "-w")
    try:
        kube.await_line(watching, "watched   1")
        kube.run("patch", "widget", "watched", "--type=merge", "-p", '{"spec":{"size":2}}')
        kube.await_line(watching, "watched   2")
    finally:
        watching.terminate()
        watching.wait(5)


def test_get_sorts_and_pages(kube):
    for size in (3, 1, 2):
        kube.run("apply", "-f", "-", stdin=kube.widget(f"sorted-{size}", size))
    listed = kube.run("get", "widget", "--sort-by=.spec.size", "--chunk-size=1").split()
    names = [word for word in listed if word.startswith("sorted-")]
    assert names == ["sorted-1", "sorted-2", "sorted-3"]


def test_wait_returns_when_the_condition_is_true(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("awaited"))
    waiting = kube.start("wait", "--for=condition=Ready", "widget/awaited", "--timeout=10s")
    time.sleep(0.2)
    ready = '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}'
    kube.run("patch", "wd", "awaited", "--subresource=status", "--type=merge", "-p", ready)
    out, _ = waiting.communicate(timeout=10)
    assert out == "widget.example.sampan.dev/awaited condition met\n"
    assert kube.run("get", "wd", "awaited").splitlines()[1].split()[:3] == ["awaited", "3", "True"]


def test_wait_for_deletion_and_delete_wait_for_the_last_finalizer(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("held"))
    kube.run("patch", "wd", "held", "--type=merge", "-p", '{"metadata":{"finalizers":["a.b/c"]}}')
    deleting = kube.start("delete", "wd", "held", "--timeout=10s")
    kube.await_line(deleting, "deleted")
    time.sleep(0.2)
    assert deleting.poll() is None, "kubectl should wait for the finalizer"
    kube.run("patch", "wd", "held", "--type=json", "-p",
             '[{"op":"remove","path":"/metadata/finalizers"}]')  # fmt: skip
    assert deleting.wait(10) == 0
    assert "not found" in kube.run("get", "wd", "held", code=1)


def test_describe_shows_the_object_and_its_events(kube):
    kube.run("apply", "-f", "-", stdin=kube.widget("described"))
    uid = kube.run("get", "wd", "described", "-o", "jsonpath={.metadata.uid}")
    event = {
        "apiVersion": "v1",
        "kind": "Event",
        "metadata": {"name": "described.1"},
        "involvedObject": {
            "apiVersion": "example.sampan.dev/v1",
            "kind": "Widget",
            "name": "described",
            "namespace": "default",
            "uid": uid,
        },
        "type": "Warning",
        "reason": "TooSmall",
        "message": "the widget is small",
        "count": 2,
        "firstTimestamp": "2026-01-31T12:00:00Z",
        "lastTimestamp": "2026-01-31T12:00:05Z",
    }
    kube.run("create", "-f", "-", stdin=json.dumps(event))
    said = kube.run("describe", "widget", "described")
    assert "Size:" in said
    assert "TooSmall" in said
    listed = kube.run("get", "events").splitlines()
    assert listed[0].split() == ["LAST", "SEEN", "TYPE", "REASON", "OBJECT", "MESSAGE"]
    assert "widget/described   the widget is small" in listed[1]
    assert "TooSmall" in kube.run("events", "--for", "widget/described")


def test_explain_walks_the_schema(kube):
    said = kube.run("explain", "widget.spec")
    assert "What the widget should be." in said
    assert "size\t<integer>" in said
    assert "Name of the object, unique in its namespace" in kube.run("explain", "cm.metadata.name")
    assert "parts" in kube.run("explain", "wd", "--recursive")


def test_api_resources_and_versions_list_what_is_served(kube):
    listed = kube.run("api-resources")
    assert "widgets" in listed
    assert "wd" in listed
    assert "example.sampan.dev/v1" in kube.run("api-versions")
    assert "clusterwidgets" in kube.run("api-resources", "--namespaced=false")
    assert "Server Version: v1." in kube.run("version")


def test_pods_are_shown_with_logs_and_cannot_be_changed(kube, make_shown_pod):
    make_shown_pod("replica-0", [b"one\n", b"two\n"])
    row = kube.run("get", "pod", "replica-0", "-o", "wide").splitlines()[1].split()
    assert row[:4] == ["replica-0", "1/1", "Running", "0"]
    assert row[-2:] == ["127.0.0.1", "laptop"] or row[-4:-2] == ["127.0.0.1", "laptop"]
    assert kube.run("logs", "replica-0") == "one\ntwo\n"
    assert kube.run("logs", "replica-0", "--tail=1") == "two\n"
    assert "Node:" in kube.run("describe", "pod", "replica-0")
    assert "views of what runs" in kube.run("delete", "pod", "replica-0", code=1)
    said = kube.run("logs", "replica-0", "-c", "sidecar", code=1)
    assert "container sidecar is not valid for pod replica-0" in said
    assert "not found" in kube.run("logs", "no-such", code=1)
    assert "has no previous log" in kube.run("logs", "replica-0", "--previous", code=1)


def test_logs_follow_until_the_reader_leaves(kube, make_shown_pod):
    make_shown_pod("followed-0", [b"one\n"])
    following = kube.start("logs", "-f", "followed-0")
    try:
        kube.await_line(following, "one")
        kube.call(lambda: kube.platform.logs["followed-0"].append(b"two\n"))
        kube.await_line(following, "two")
    finally:
        following.terminate()
        following.wait(5)


def test_get_watches_pods_come_and_go(kube, make_shown_pod):
    watching = kube.start("get", "pods", "-w")
    try:
        time.sleep(0.3)
        make_shown_pod("late-0", [])
        kube.await_line(watching, "late-0")
    finally:
        watching.terminate()
        watching.wait(5)


def test_auth_tells_who_one_is_and_what_one_may(kube):
    assert "sampan" in kube.run("auth", "whoami")
    assert kube.run("auth", "can-i", "create", "widgets.example.sampan.dev") == "yes\n"
    assert kube.run("auth", "can-i", "delete", "pods", code=1).startswith("no")
    assert "*.*" in kube.run("auth", "can-i", "--list")


def test_cluster_info_names_the_server(kube):
    assert f"127.0.0.1:{kube.port}" in kube.run("cluster-info")


def test_without_the_token_nothing_is_told(kube):
    said = kube.run("--token=wrong", "get", "cm", code=1)
    assert "Unauthorized" in said or "logged in" in said


def test_rollout_of_what_is_not_served_says_so(kube):
    assert "doesn't have a resource type" in kube.run("rollout", "status", "deployment/x", code=1)
