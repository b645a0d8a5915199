"""The audit log: who did what, as Kubernetes writes it, without any secret."""

from __future__ import annotations

import json
import stat

import pytest

from sampan.api.scheme import REGISTRY
from sampan.apiserver.audit import AuditFile, AuditPolicy, AuditTrail
from sampan.apiserver.server import ApiServer, Settings
from sampan.app.audit_settings import make_audit_trail
from sampan.app.operator_settings import OperatorSettingsError
from sampan.machinery.clock import SystemClock
from sampan.machinery.store_memory import MemoryStore

CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
SECRETS = "/api/v1/namespaces/default/secrets"


@pytest.fixture
def file(tmp_path):
    return tmp_path / "audit.log"


@pytest.fixture
async def audited(file, client_of, policy):
    store = MemoryStore(REGISTRY, SystemClock())
    trail = AuditTrail(AuditFile(file), policy)
    server = ApiServer(store, REGISTRY, client_of.token, settings=Settings(audit=trail))
    await server.start()
    yield client_of(server)
    server.stop()
    await store.close()


@pytest.fixture
def policy():
    return AuditPolicy.WRITES


def events(file):
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


async def test_a_write_is_one_line_with_who_what_and_when(audited, file):
    body = {"metadata": {"name": "a"}, "data": {"key": "a value that is nobody's business"}}
    await audited.ok("POST", CONFIGMAPS, body, query={"fieldManager": "me"})
    (event,) = events(file)
    assert event["kind"] == "Event"
    assert event["apiVersion"] == "audit.k8s.io/v1"
    assert event["level"] == "Metadata"
    assert event["stage"] == "ResponseComplete"
    assert event["verb"] == "create"
    assert event["requestURI"] == f"{CONFIGMAPS}?fieldManager=me"
    assert event["user"]["username"] == "sampan"
    assert event["objectRef"] == {
        "resource": "configmaps",
        "namespace": "default",
        "apiVersion": "v1",
    }
    assert event["responseStatus"] == {"metadata": {}, "code": 201}
    assert event["requestReceivedTimestamp"] <= event["stageTimestamp"]
    assert "business" not in file.read_text()


async def test_reads_are_left_out_but_of_secrets(audited, file):
    await audited.ok("GET", CONFIGMAPS)
    await audited.ok("GET", "/apis")
    assert events(file) == []
    await audited.ok("GET", SECRETS)
    assert [e["objectRef"]["resource"] for e in events(file)] == ["secrets"]


async def test_a_refusal_tells_its_reason_and_repeats_no_value(audited, file):
    wrong = {"metadata": {"name": "s"}, "data": {"key": "not-base64-but-secret!"}}
    assert (await audited.send("POST", SECRETS, wrong)).code >= 400
    (event,) = events(file)
    assert event["responseStatus"]["reason"] in ("Invalid", "BadRequest")
    assert "but-secret" not in file.read_text()


async def test_a_wrong_token_is_written_down_and_not_shown(audited, file):
    headers = {"authorization": "Bearer a-token-of-somebody-else"}
    await audited.send("GET", CONFIGMAPS, headers=headers)
    (event,) = events(file)
    assert event["user"]["username"] == "system:anonymous"
    assert event["responseStatus"]["code"] == 401
    assert "somebody-else" not in file.read_text()


async def test_who_acts_as_another_is_told_beside_him(audited, file):
    await audited.send("GET", SECRETS, headers={"impersonate-user": "eve"})
    (event,) = events(file)
    assert event["user"] == {"username": "sampan"}
    assert event["impersonatedUser"]["username"] == "eve"
    assert event["responseStatus"] == {
        "metadata": {},
        "code": 403,
        "reason": "Forbidden",
        "status": "Failure",
    }


@pytest.mark.parametrize("policy", [AuditPolicy.ALL])
async def test_all_means_reads_too(audited, file):
    await audited.ok("GET", CONFIGMAPS)
    await audited.ok("GET", "/apis")
    assert [e["verb"] for e in events(file)] == ["list", "get"]


def test_the_file_starts_anew_at_its_size_and_old_ones_go(file):
    log = AuditFile(file, max_bytes=100, kept=2)
    for number in range(40):
        log.append(b"%030d\n" % number)
    names = sorted(path.name for path in file.parent.iterdir())
    assert names == ["audit.log", "audit.log.1", "audit.log.2"]
    lines = [line for n in ("audit.log.2", "audit.log.1", "audit.log")
             for line in (file.parent / n).read_text().splitlines()]  # fmt: skip
    assert lines == [f"{n:030d}" for n in range(40 - len(lines), 40)]
    assert all(path.stat().st_size <= 131 for path in file.parent.iterdir())
    assert {stat.S_IMODE(path.stat().st_mode) for path in file.parent.iterdir()} == {0o600}


async def test_a_log_that_cannot_be_written_stops_nothing(client_of, tmp_path, caplog):
    trail = AuditTrail(AuditFile(tmp_path / "no" / "folder" / "audit.log"))
    store = MemoryStore(REGISTRY, SystemClock())
    server = ApiServer(store, REGISTRY, client_of.token, settings=Settings(audit=trail))
    await server.start()
    for name in ("a", "b"):
        await client_of(server).ok("POST", CONFIGMAPS, {"metadata": {"name": name}})
    await store.close()
    assert caplog.text.count("requests go unrecorded") == 1


def test_the_operator_chooses(tmp_path):
    path = tmp_path / "audit.log"
    trail = make_audit_trail(path, {"SAMPAN_AUDIT": "all"})
    assert trail is not None
    assert trail.policy is AuditPolicy.ALL
    assert make_audit_trail(path, {"SAMPAN_AUDIT": "none"}) is None
    with pytest.raises(OperatorSettingsError, match='SAMPAN_AUDIT: "some" cannot be used'):
        make_audit_trail(path, {"SAMPAN_AUDIT": "some"})
