"""Discovery and OpenAPI: what clients learn of the server before they ask for objects."""

from __future__ import annotations

import json

import pytest

AGGREGATED = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"


async def test_the_old_form_lists_groups_and_resources(client):
    assert (await client.ok("GET", "/api"))["versions"] == ["v1"]
    groups = await client.ok("GET", "/apis")
    assert "example.sampan.dev" in [g["name"] for g in groups["groups"]]
    listed = await client.ok("GET", "/apis/example.sampan.dev/v1")
    by_name = {r["name"]: r for r in listed["resources"]}
    assert by_name["widgets"]["shortNames"] == ["wd"]
    assert by_name["widgets/status"]["verbs"] == ["get", "patch", "update"]
    assert by_name["clusterwidgets"]["namespaced"] is False
    core = {r["name"]: r for r in (await client.ok("GET", "/api/v1"))["resources"]}
    assert core["pods"]["verbs"] == ["get", "list", "watch"]
    assert core["pods/log"]["verbs"] == ["get"]


async def test_both_forms_tell_the_same(client):
    reply = await client.send("GET", "/apis", headers={"accept": f"{AGGREGATED},application/json"})
    assert reply.media_type == AGGREGATED
    for group in json.loads(reply.body)["items"]:
        for version in group["versions"]:
            path = f"/apis/{group['metadata']['name']}/{version['version']}"
            old = {r["name"]: r for r in (await client.ok("GET", path))["resources"]}
            for resource in version["resources"]:
                assert old.pop(resource["resource"])["verbs"] == resource["verbs"]
                for part in resource["subresources"]:
                    name = f"{resource['resource']}/{part['subresource']}"
                    assert old.pop(name)["verbs"] == part["verbs"]
            assert old == {}


async def test_an_unknown_version_of_the_aggregated_form_falls_back(client):
    accept = AGGREGATED.replace("v=v2", "v=v2beta1") + ",application/json"
    body = await client.ok("GET", "/apis", headers={"accept": accept})
    assert body["kind"] == "APIGroupList"


async def test_openapi_documents_are_named_by_their_hash_and_cached_by_it(client):
    index = await client.ok("GET", "/openapi/v3")
    url = index["paths"]["apis/example.sampan.dev/v1"]["serverRelativeURL"]
    path, _, digest = url.partition("?hash=")
    reply = await client.send("GET", path, query={"hash": digest})
    tag = dict(reply.headers)["ETag"]
    assert tag == f'"{digest}"'
    again = await client.send("GET", path, headers={"if-none-match": tag})
    assert again.code == 304
    document = json.loads(reply.body)
    widget = document["components"]["schemas"]["dev.sampan.example.v1.Widget"]
    assert widget["x-kubernetes-group-version-kind"] == [
        {"group": "example.sampan.dev", "version": "v1", "kind": "Widget"}
    ]
    assert widget["properties"]["spec"]["properties"]["size"]["type"] == "integer"


async def test_every_reference_in_the_documents_leads_somewhere(client):
    index = await client.ok("GET", "/openapi/v3")
    for path in index["paths"]:
        text = (await client.send("GET", f"/openapi/v3/{path}")).body.decode()
        schemas = json.loads(text)["components"]["schemas"]
        for part in text.split('"#/components/schemas/')[1:]:
            assert part.partition('"')[0] in schemas


async def test_every_writable_kind_tells_that_fields_are_validated_here(client):
    index = await client.ok("GET", "/openapi/v3")
    document = json.loads((await client.send("GET", "/openapi/v3/api/v1")).body)
    patch = document["paths"]["/api/v1/namespaces/{namespace}/configmaps/{name}"]["patch"]
    assert "fieldValidation" in [p["name"] for p in patch["parameters"]]
    assert "api/v1" in index["paths"]


@pytest.mark.parametrize("path", ["/healthz", "/livez", "/readyz"])
async def test_health_is_told_in_a_word(client, path):
    reply = await client.send("GET", path)
    assert (reply.code, reply.body) == (200, b"ok")


NOWHERE = "/ /apis/none /apis/none/v1 /api/v2 /openapi/v3/x /openapi/v2 /metrics /%2e%2e/etc"


@pytest.mark.parametrize("path", NOWHERE.split())
async def test_what_is_not_served_is_a_404(client, path):
    assert (await client.send("GET", path)).code == 404
