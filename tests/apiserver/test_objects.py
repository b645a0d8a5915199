"""What each verb answers: objects, Status errors, warnings, options. In process, no socket."""

from __future__ import annotations

import asyncio
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

WIDGETS = "/apis/example.sampan.dev/v1/namespaces/default/widgets"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
MERGE = {"content-type": "application/merge-patch+json"}
APPLY = {"content-type": "application/apply-patch+yaml"}


def widget(name, size=3, **meta):
    return {
        "apiVersion": "example.sampan.dev/v1",
        "kind": "Widget",
        "metadata": {"name": name, **meta},
        "spec": {"size": size},
    }


def warnings(reply):
    return [value for name, value in reply.headers if name == "Warning"]


async def test_create_answers_201_with_the_object_as_stored(client):
    reply = await client.send("POST", WIDGETS, widget("a"))
    obj = json.loads(reply.body)
    assert reply.code == 201
    assert obj["metadata"]["generation"] == 1
    assert obj["metadata"]["namespace"] == "default"
    assert obj["metadata"]["managedFields"][0]["manager"] == "tests"
    assert await client.ok("GET", f"{WIDGETS}/a") == obj


async def test_a_generated_name_is_completed(client):
    body = {"metadata": {"generateName": "part-"}}
    names = {(await client.ok("POST", CONFIGMAPS, body))["metadata"]["name"] for _ in range(3)}
    assert len(names) == 3
    assert all(name.startswith("part-") and len(name) == 10 for name in names)


async def test_yaml_bodies_are_read_and_yaml_is_answered_where_asked(client):
    body = b"metadata:\n  name: yam\n  annotations: {when: 2026-01-31}\ndata:\n  a: '1'\n"
    headers = {"content-type": "application/yaml", "accept": "application/yaml"}
    reply = await client.send("POST", CONFIGMAPS, body, headers=headers)
    assert reply.code == 201
    assert reply.media_type == "application/yaml"
    assert b"when: '2026-01-31'" in reply.body


@pytest.mark.parametrize(
    ("method", "path", "body", "code", "text"),
    [
        pytest.param("GET", f"{WIDGETS}/none", None, 404,
                     'widgets.example.sampan.dev "none" not found', id="a missing object"),
        pytest.param("GET", "/apis/apps/v1/deployments", None, 404,
                     'nothing is served at "/apis/apps/v1/deployments"', id="an unserved group"),
        pytest.param("POST", "/apis/apps/v1/namespaces/default/deployments", {}, 404,
                     "could not find the requested resource", id="a write to an unserved group"),
        pytest.param("GET", "/apis/example.sampan.dev/v2/widgets", None, 404,
                     "could not find", id="an unserved version"),
        pytest.param("POST", WIDGETS, {**widget("x"), "kind": "Gadget"}, 400,
                     "the kind in the data (Gadget) does not match the expected kind (Widget)",
                     id="another kind"),
        pytest.param("POST", WIDGETS, {**widget("x"), "apiVersion": "v1"}, 400,
                     "the API version in the data (v1) does not match", id="another version"),
        pytest.param("POST", WIDGETS, widget("x", namespace="other"), 400,
                     "the namespace of the provided object (other) does not match",
                     id="another namespace than the path's"),
        pytest.param("PUT", f"{CONFIGMAPS}/x", {"metadata": {"name": "y"}}, 400,
                     "the name of the object (y) does not match the name on the URL (x)",
                     id="another name than the path's"),
        pytest.param("POST", "/api/v1/namespaces/nowhere/configmaps", {"metadata": {"name": "x"}},
                     404, 'namespaces "nowhere" not found', id="a namespace that is not there"),
        pytest.param("POST", "/api/v1/configmaps", {"metadata": {"name": "x"}}, 405,
                     "live in namespaces", id="a create across namespaces"),
        pytest.param("POST", WIDGETS, {"spec": {}}, 422, "name or generateName is required",
                     id="no name"),
        pytest.param("POST", WIDGETS, widget("Bad_Name"), 422,
                     "a lowercase RFC 1123 subdomain must consist of", id="a bad name"),
        pytest.param("POST", WIDGETS, widget("x" * 254), 422, "must be no more than 253",
                     id="a long name"),
        pytest.param("POST", "/api/v1/namespaces", {"metadata": {"name": "a.b"}}, 422,
                     "a lowercase RFC 1123 label must consist of", id="a namespace with a dot"),
        pytest.param("POST", WIDGETS, widget("x", "big"), 422,
                     'Widget.example.sampan.dev "x" is invalid: spec.size: Invalid value: "big"',
                     id="what the schema refuses"),
        pytest.param("POST", WIDGETS, widget("x", -1), 403,
                     'admission webhook "widget.sampan-webhook-server.validator" denied the '
                     "request: widgets are never negative", id="what the rules refuse"),
        pytest.param("POST", WIDGETS, b"{", 400, "not JSON", id="broken JSON"),
        pytest.param("POST", WIDGETS, b"[1]", 400, "holds a list, not an object", id="a list"),
        pytest.param("PUT", WIDGETS, {}, 405, "PUT is not for", id="a verb that is not there"),
        pytest.param("GET", f"{WIDGETS}/x/scale", None, 404, 'no subresource "scale"',
                     id="a subresource that is not there"),
        pytest.param("DELETE", "/api/v1/namespaces/default/pods/x", None, 405,
                     "views of what runs", id="a change of a view"),
        pytest.param("DELETE", "/api/v1/namespaces/default", None, 403,
                     "this namespace may not be deleted", id="deleting the default namespace"),
    ],
)  # fmt: skip
async def test_mistakes_get_a_status_that_names_them(client, method, path, body, code, text):
    reply = await client.send(method, path, body)
    status = json.loads(reply.body)
    assert reply.code == code == status["code"], status
    assert status["kind"] == "Status"
    assert text in status["message"]


@pytest.mark.parametrize(
    ("method", "query", "text"),
    [
        ("POST", {"dryRun": "Some"}, 'dryRun: Unsupported value: "Some"'),
        ("POST", {"fieldValidation": "Hard"}, 'fieldValidation: Unsupported value: "Hard"'),
        ("POST", {"fieldManager": "x" * 129}, "at most 128"),
        ("GET", {"limit": "-1"}, 'limit: Invalid value: "-1"'),
        ("GET", {"labelSelector": "a=b=c"}, "a=b=c"),
        ("GET", {"fieldSelector": "spec.x=1"}, 'field label not supported: "spec.x"'),
        ("GET", {"continue": "x"}, "continue"),
        ("GET", {"resourceVersion": "abc"}, 'resourceVersion: Invalid value: "abc"'),
        ("GET", {"resourceVersionMatch": "Exact"}, "needs a resourceVersion"),
        ("GET", {"watch": "true", "resourceVersion": "x"}, "Invalid value"),
        ("GET", {"watch": "true", "labelSelector": "=a"}, "=a"),
        ("GET", {"watch": "true", "sendInitialEvents": "true"}, "NotOlderThan"),
        ("GET", {"watch": "true", "timeoutSeconds": "x"}, 'timeoutSeconds: Invalid value: "x"'),
        ("DELETE", {"propagationPolicy": "Now"}, 'propagationPolicy: Unsupported value: "Now"'),
        ("DELETE", {"gracePeriodSeconds": "x"}, 'gracePeriodSeconds: Invalid value: "x"'),
    ],
)
async def test_a_bad_parameter_is_named(client, method, query, text):
    answer = await client.json(method, WIDGETS, widget("q") if method == "POST" else None,
                               query=query)  # fmt: skip
    assert answer["code"] == 400, answer
    assert text in answer["message"]


async def test_a_dry_run_of_every_verb_stores_nothing(client):
    await client.ok("POST", WIDGETS, widget("kept"))
    before = await client.ok("GET", WIDGETS)
    dry = {"dryRun": "All"}
    await client.ok("POST", WIDGETS, widget("new"), query=dry)
    await client.ok("PATCH", f"{WIDGETS}/kept", {"spec": {"size": 9}}, query=dry, headers=MERGE)
    await client.ok("PUT", f"{WIDGETS}/kept", {**before["items"][0], "spec": {"size": 5}},
                    query=dry)  # fmt: skip
    await client.ok("PATCH", f"{WIDGETS}/applied", widget("applied"), headers=APPLY,
                    query={**dry, "fieldManager": "me"})  # fmt: skip
    await client.ok("DELETE", f"{WIDGETS}/kept", query=dry)
    await client.ok("DELETE", WIDGETS, query=dry)
    await client.ok("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}}, query=dry)
    assert await client.ok("GET", WIDGETS) == before
    assert (await client.send("GET", "/api/v1/namespaces/n")).code == 404


async def test_admission_defaults_warns_and_reads_the_operators_configuration(client):
    config = {"metadata": {"name": "inferenceservice-config"}, "data": {"size": "42"}}
    await client.ok("POST", "/api/v1/namespaces/kserve/configmaps", config)
    made = await client.ok("POST", WIDGETS, {"metadata": {"name": "defaulted"}})
    assert made["spec"] == {"size": 42}
    reply = await client.send("POST", WIDGETS, widget("large", 200))
    assert warnings(reply) == ['299 - "a large widget"']
    refused = await client.json("PUT", f"{WIDGETS}/defaulted",
                                {**made, "spec": {"size": 1}})  # fmt: skip
    assert "widgets never shrink" in refused["message"]


async def test_the_platform_may_warn_of_what_it_does_not_honour(client):
    body = {**widget("pink"), "spec": {"size": 1, "parts": [{"name": "pink"}]}}
    assert warnings(await client.send("POST", WIDGETS, body)) == [
        '299 - "pink is not honoured here"'
    ]


@pytest.mark.parametrize(
    ("validation", "code", "warned"), [("Strict", 400, 0), ("Warn", 201, 2), ("Ignore", 201, 0)]
)
async def test_field_validation_refuses_warns_or_ignores(client, validation, code, warned):
    body = b'{"metadata":{"name":"f"},"spec":{"size":1,"size":2,"colour":"red"}}'
    reply = await client.send("POST", WIDGETS, body, query={"fieldValidation": validation})
    assert reply.code == code
    assert len(warnings(reply)) == warned
    if code == 400:
        assert json.loads(reply.body)["message"] == (
            'Widget in version "v1" cannot be handled as a Widget: strict decoding error: '
            'duplicate field "size", unknown field "spec.colour"'
        )


async def test_an_update_holds_to_the_version_it_was_made_of(client):
    made = await client.ok("POST", WIDGETS, widget("u"))
    await client.ok("PUT", f"{WIDGETS}/u", {**made, "spec": {"size": 4}})
    stale = await client.json("PUT", f"{WIDGETS}/u", {**made, "spec": {"size": 5}})
    assert stale["reason"] == "Conflict"
    assert "the object has been modified" in stale["message"]
    without = await client.json("PUT", f"{WIDGETS}/u", widget("u", 6))
    assert "metadata.resourceVersion: Invalid value: 0x0: must be specified" in without["message"]


async def test_a_core_kind_may_be_updated_without_a_version(client):
    await client.ok("POST", CONFIGMAPS, {"metadata": {"name": "c"}})
    changed = {"metadata": {"name": "c"}, "data": {"a": "1"}}
    assert (await client.ok("PUT", f"{CONFIGMAPS}/c", changed))["data"] == {"a": "1"}


async def test_another_uid_is_a_conflict(client):
    made = await client.ok("POST", WIDGETS, widget("id"))
    made["metadata"]["uid"] = "other"
    answer = await client.json("PUT", f"{WIDGETS}/id", made)
    assert answer["code"] == 409
    assert "Precondition failed: UID in precondition: other" in answer["message"]


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(4, id="what keeps every rule"),
        pytest.param("big", id="what the schema refuses"),
        pytest.param(-1, id="what the rules refuse"),
    ],
)
@pytest.mark.parametrize("path", ["late", "late/status"])
async def test_who_is_late_reads_again_before_he_is_told_of_mistakes(client, path, size):
    made = await client.ok("POST", WIDGETS, widget("late"))
    patch = {"spec": {"size": 5}}
    await client.ok("PATCH", f"{WIDGETS}/late", patch, headers=MERGE)
    stale = {**made, "spec": {"size": size}, "status": {"note": "x"}}
    answer = await client.json("PUT", f"{WIDGETS}/{path}", stale)
    assert answer["code"] == 409
    assert "the object has been modified" in answer["message"]
    pinned = {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}, **patch}
    pinned["spec"]["size"] = size
    answer = await client.json("PATCH", f"{WIDGETS}/{path}", pinned, headers=MERGE)
    assert answer["code"] == 409


async def test_an_update_of_what_is_not_there_is_not_found_whatever_it_lacks(client):
    answer = await client.json("PUT", f"{WIDGETS}/nowhere", widget("nowhere"))
    assert (answer["code"], answer["reason"]) == (404, "NotFound")


async def test_status_is_written_through_its_subresource_only(client):
    made = await client.ok("POST", WIDGETS, {**widget("s"), "status": {"a": 1}})
    assert "status" not in made
    body = {"spec": {"size": 50}, "status": {"a": 2}}
    done = await client.ok("PATCH", f"{WIDGETS}/s/status", body, headers=MERGE)
    assert (done["spec"], done["status"]) == ({"size": 3}, {"a": 2})
    assert done["metadata"]["generation"] == 1
    put = await client.ok("PUT", f"{WIDGETS}/s", {**done, "spec": {"size": 4}, "status": {}})
    assert (put["spec"], put["status"]) == ({"size": 4}, {"a": 2})


async def test_patches_without_a_version_pass_by_other_writers(client):
    await client.ok("POST", CONFIGMAPS, {"metadata": {"name": "busy"}})

    async def one(n):
        patch = {"data": {f"k{n}": "v"}}
        return await client.send("PATCH", f"{CONFIGMAPS}/busy", patch, headers=MERGE)

    replies = await asyncio.gather(*(one(n) for n in range(4)))
    assert [r.code for r in replies] == [200] * 4
    assert len((await client.ok("GET", f"{CONFIGMAPS}/busy"))["data"]) == 4


@pytest.mark.parametrize(
    ("media", "body", "code", "text"),
    [
        ("application/strategic-merge-patch+json", {}, 415, "application/apply-patch+yaml"),
        ("application/json", {}, 415, "application/merge-patch+json"),
        ("application/json-patch+json", {}, 400, "a list of operations"),
        ("application/merge-patch+json", [], 400, "an object"),
        ("application/json-patch+json", [{"op": "remove", "path": "/spec/none"}], 422, "none"),
        ("application/apply-patch+yaml", {}, 422, "fieldManager: Required value"),
    ],
)
async def test_a_patch_that_cannot_be_taken_says_why(client, media, body, code, text):
    await client.ok("POST", WIDGETS, widget("p"))
    headers = {"content-type": media}
    answer = await client.json("PATCH", f"{WIDGETS}/p", body, headers=headers)
    assert answer["code"] == code, answer
    assert text in answer["message"]


async def test_apply_creates_then_owns_and_removes_what_it_no_longer_names(client):
    query = {"fieldManager": "me"}
    body = {**widget("ap"), "spec": {"size": 2, "parts": [{"name": "a"}]}}
    reply = await client.send("PATCH", f"{WIDGETS}/ap", body, headers=APPLY, query=query)
    assert reply.code == 201
    done = await client.ok("PATCH", f"{WIDGETS}/ap", widget("ap", 2), headers=APPLY, query=query)
    assert done["spec"] == {"size": 2}
    other = await client.json("PATCH", f"{WIDGETS}/ap", widget("ap", 5), headers=APPLY,
                              query={"fieldManager": "other"})  # fmt: skip
    assert other["details"]["causes"][0]["reason"] == "FieldManagerConflict"
    forced = {"fieldManager": "other", "force": "true"}
    assert (await client.ok("PATCH", f"{WIDGETS}/ap", widget("ap", 5), headers=APPLY,
                            query=forced))["spec"] == {"size": 5}  # fmt: skip


async def test_delete_answers_a_status_or_the_object_that_still_waits(client):
    await client.ok("POST", WIDGETS, widget("d"))
    gone = await client.ok("DELETE", f"{WIDGETS}/d")
    assert (gone["kind"], gone["status"]) == ("Status", "Success")
    assert gone["details"]["kind"] == "widgets"
    await client.ok("POST", WIDGETS, widget("d", finalizers=["a.b/c"]))
    waits = await client.ok("DELETE", f"{WIDGETS}/d")
    assert waits["metadata"]["deletionTimestamp"]


async def test_delete_holds_to_its_preconditions(client):
    await client.ok("POST", WIDGETS, widget("d"))
    body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": {"uid": "other"}}
    answer = await client.json("DELETE", f"{WIDGETS}/d", body)
    assert answer["code"] == 409


async def test_a_collection_is_deleted_by_selector(client):
    for n in range(3):
        await client.ok("POST", WIDGETS, widget(f"w{n}", labels={"n": str(n)}))
    gone = await client.ok("DELETE", WIDGETS, query={"labelSelector": "n!=1"})
    assert [i["metadata"]["name"] for i in gone["items"]] == ["w0", "w2"]
    assert [i["metadata"]["name"] for i in (await client.ok("GET", WIDGETS))["items"]] == ["w1"]


async def test_lists_page_with_a_count_of_what_follows(client):
    for n in range(5):
        await client.ok("POST", CONFIGMAPS, {"metadata": {"name": f"c{n}"}})
    first = await client.ok("GET", CONFIGMAPS, query={"limit": 2})
    assert first["kind"] == "ConfigMapList"
    assert first["metadata"]["remainingItemCount"] == 3
    more = {"limit": 10, "continue": first["metadata"]["continue"]}
    rest = await client.ok("GET", CONFIGMAPS, query=more)
    names = [i["metadata"]["name"] for i in first["items"] + rest["items"]]
    assert names == ["c0", "c1", "c2", "c3", "c4"]


async def test_a_list_of_a_version_to_come_times_out_as_upstream(client):
    answer = await client.json("GET", CONFIGMAPS, query={"resourceVersion": "99999"})
    assert answer["code"] == 504
    assert "Too large resource version" in answer["message"]


async def test_metadata_only_and_tables_are_answered_where_asked(client):
    await client.ok("POST", WIDGETS, widget("t"))
    accept = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    partial = await client.ok("GET", WIDGETS, headers={"accept": accept})
    assert partial["kind"] == "PartialObjectMetadataList"
    assert set(partial["items"][0]) == {"kind", "apiVersion", "metadata"}
    table = {"accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
    only_rows = {"includeObject": "None"}
    table = await client.ok("GET", f"{WIDGETS}/t", query=only_rows, headers=table)
    names = [c["name"] for c in table["columnDefinitions"]]
    assert names == ["Name", "Size", "Ready", "Parts", "Age"]
    assert table["rows"] == [{"cells": ["t", 3, None, None, "0s"]}]
    answer = await client.json("GET", WIDGETS, headers={"accept": "image/png"})
    assert answer["code"] == 406


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
async def test_no_request_whatever_is_a_mistake_of_the_server(client, data):
    """A Hypothesis law: any path, parameters, types and body get an answer below 500."""
    method = data.draw(st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]))
    path = data.draw(
        st.sampled_from(
            [
                WIDGETS,
                f"{WIDGETS}/a",
                f"{WIDGETS}/a/status",
                CONFIGMAPS,
                f"{CONFIGMAPS}/a",
                "/api/v1/namespaces",
                "/api/v1/namespaces/x",
                "/api/v1/namespaces/default/pods",
                "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
                "/api",
                "/openapi/v3",
            ]
        )
        | st.text().map(lambda t: "/" + t)
    )
    keys = st.sampled_from(
        ["dryRun", "fieldManager", "fieldValidation", "force", "labelSelector", "fieldSelector",
         "limit", "continue", "resourceVersion", "propagationPolicy"]
    )  # fmt: skip
    query = data.draw(st.dictionaries(keys, st.text(max_size=8) | st.just("All"), max_size=2))
    types = ["application/json", "application/json-patch+json", "application/merge-patch+json",
             "application/apply-patch+yaml", "application/yaml",
             "application/strategic-merge-patch+json",
             "application/vnd.kubernetes.protobuf"]  # fmt: skip
    json_value = st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda c: st.lists(c, max_size=3)
        | st.dictionaries(
            st.sampled_from(["metadata", "spec", "name", "op", "path", "data", "labels", "kind",
                             "finalizers", "managedFields", "preconditions", "annotations"]),
            c, max_size=4,
        ),
        max_leaves=8,
    )  # fmt: skip
    raw = st.binary(max_size=40) | st.binary(max_size=40).map(lambda b: b"k8s\x00" + b)
    body = data.draw(json_value.map(lambda v: json.dumps(v).encode()) | raw)
    headers = {
        "content-type": data.draw(st.sampled_from(types)),
        "accept": data.draw(st.sampled_from(["", "application/json", "application/yaml"])),
    }
    reply = await client.send(method, path, body, query=query, headers=headers)
    assert reply.code < 500 or reply.code == 504, reply.body
