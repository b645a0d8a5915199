"""Models in images and artifacts, from a registry that speaks the distribution specification."""

from __future__ import annotations

import asyncio
import json
import os
from base64 import b64encode
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.storage.registry_server import (
    CONFIG,
    INDEX,
    TAR,
    RegistryServer,
    digest_of,
    make_layer,
)

from sampan.storage.base import StorageError
from sampan.storage.oci_layer import merge_layer
from sampan.storage.oci_login import select_entry
from sampan.storage.oci_manifest import find_architecture
from sampan.storage.oci_reference import make_base, parse_reference

WEIGHTS = os.urandom(300_000)
BASE = make_layer(("etc/passwd", b"x"), ("bin/sh", b"#!"), ("dev/null", 0))
MODEL = make_layer(("models", None), ("models/model.bin", WEIGHTS), ("models/a/b.json", b"{}"))
TITLE = "org.opencontainers.image.title"


@pytest.fixture
async def registry(bench) -> AsyncIterator[RegistryServer]:
    served = RegistryServer()
    await served.start()
    bench.set(allowed_private_hosts=("127.0.0.1", "localhost"))
    yield served
    await served.stop()


def read_all(folder: Path) -> dict[str, bytes]:
    files = (p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in files}


def image(registry: RegistryServer, version: str = ":v1") -> str:
    return f"oci://{registry.host}/team/model{version}"


async def test_of_an_image_the_folder_models_is_served(registry, bench):
    registry.put(BASE, MODEL)
    fetched = await bench.fetch(image(registry))
    assert read_all(fetched.path) == {"model.bin": WEIGHTS, "a/b.json": b"{}"}
    assert (fetched.cached, fetched.chosen) == (False, False)
    assert bench.told[-1].done == bench.told[-1].total == len(BASE) + len(MODEL)


@pytest.mark.parametrize("scheme", ["oci+fetch", "oci+native", "oci+modelcar"])
async def test_whichever_way_a_cluster_takes_it_the_image_is_the_same(registry, bench, scheme):
    registry.put(BASE, MODEL)
    first = await bench.fetch(image(registry))
    assert (await bench.fetch(image(registry).replace("oci", scheme, 1))).path == first.path


async def test_an_image_that_is_here_transfers_nothing(registry, bench):
    registry.put(BASE, MODEL)
    first = await bench.fetch(image(registry))
    assert registry.transferred() == len(BASE) + len(MODEL)
    second = await bench.fetch(image(registry))
    assert (second.path, second.cached, registry.transferred()) == (first.path, True, 0)


async def test_of_a_new_image_only_the_new_layers_are_transferred(registry, bench):
    registry.put(BASE, MODEL)
    first = await bench.fetch(image(registry))
    registry.transferred()
    added = make_layer(("models/a/b.json", b"[]"), ("models/c", b"c"))
    registry.put(BASE, MODEL, added)
    second = await bench.fetch(image(registry))
    assert registry.transferred() == len(added)
    assert read_all(second.path) == {"model.bin": WEIGHTS, "a/b.json": b"[]", "c": b"c"}
    assert (first.path / "model.bin").samefile(second.path / "model.bin")
    assert (first.path / "a/b.json").read_bytes() == b"{}"


async def test_a_digest_is_served_without_asking_once_it_is_here(registry, bench):
    digest = registry.put(BASE, MODEL)
    first = await bench.fetch(image(registry, f"@{digest}"))
    await registry.stop()
    again = await bench.fetch(image(registry, f"@{digest}"))
    assert (again.path, again.note) == (first.path, "")


async def test_a_registry_that_is_away_leaves_the_copy_and_a_note(registry, bench):
    registry.put(MODEL)
    first = await bench.fetch(image(registry))
    await registry.stop()
    again = await bench.fetch(image(registry))
    assert again.path == first.path
    assert again.note.startswith("the copy of ")


async def test_upper_layers_take_away_what_lower_ones_have(registry, bench):
    lower = make_layer(
        ("models/old", b"o"), ("models/f/x", b"x"), ("models/f/y", b"y"), ("models/d/z", b"z"),
        ("models/k", b"k"),
    )  # fmt: skip
    upper = make_layer(
        ("models/.wh.old", b""), ("models/f/.wh..wh..opq", b""), ("models/f/n", b"n"),
        ("models/d", b"a file now"), ("models/k/in", b"a folder now"),
    )  # fmt: skip
    registry.put(lower, upper)
    assert read_all((await bench.fetch(image(registry))).path) == {
        "f/n": b"n", "d": b"a file now", "k/in": b"a folder now"
    }  # fmt: skip


async def test_a_layer_that_takes_away_the_folder_itself_leaves_the_next_ones(registry, bench):
    registry.put(
        make_layer(("models/old", b"o")),
        make_layer((".wh.models", b"")),
        make_layer(("models/n", b"n")),
    )
    assert read_all((await bench.fetch(image(registry))).path) == {"n": b"n"}


async def test_links_across_layers_are_kept_where_they_stay_inside(registry, bench):
    registry.put(
        make_layer(("models/v1/m.bin", b"m"), ("models/v1/same", "=> models/v1/m.bin")),
        make_layer(("models/latest", "-> v1")),
    )
    path = (await bench.fetch(image(registry))).path
    assert (path / "latest" / "m.bin").read_bytes() == (path / "v1/same").read_bytes() == b"m"


@pytest.mark.parametrize(
    "layers",
    [
        (make_layer(("models/x", "-> /etc/passwd"), ("models/m", b"m")),),
        (make_layer(("models/x", "-> ../../../etc"), ("models/m", b"m")),),
        (make_layer(("models/x", "-> nothing"), ("models/m", b"m")),),
        (make_layer(("models/x", "=> etc/passwd"), ("etc/passwd", b"p")),),
        (make_layer(("models/../../x", b"m")),),
        (make_layer(("models/dev", 0)),),
        (make_layer(("models", "-> /")), make_layer(("models/m", b"m"))),
        (
            make_layer(("models/x", "-> /tmp"), ("models/m", b"m")),
            make_layer(("models/.wh.m", b"")),
        ),
    ],
)
async def test_what_leads_out_of_an_image_is_refused(registry, bench, layers):
    registry.put(*layers)
    assert (await bench.refused(image(registry))).reason == "ArchiveUnsafe"
    assert bench.published == []


async def test_a_layer_never_writes_through_a_link_of_a_lower_one(registry, bench, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    registry.put(
        make_layer(("models/d", f"-> {outside}"), ("models/m", b"m")),
        make_layer(("models/d/x", b"x"), ("models/d/.wh.y", b"")),
    )
    assert read_all((await bench.fetch(image(registry))).path) == {"d/x": b"x", "m": b"m"}
    assert list(outside.iterdir()) == []


async def test_an_image_without_a_model_tells_what_it_has(registry, bench):
    registry.put(BASE)
    error = await bench.refused(image(registry))
    assert error.reason == "ModelNotFound"
    assert "has no /models/ directory" in error.message
    assert "Found top-level entries: bin, dev, etc" in error.message


async def test_plain_tars_are_layers_too_and_zstd_is_told(registry, bench):
    plain = make_layer(("models/m", b"m"), packed=False)
    registry.put({"data": plain, "mediaType": TAR}, tag="plain")
    assert read_all((await bench.fetch(image(registry, ":plain"))).path) == {"m": b"m"}
    registry.put({"data": plain, "mediaType": f"{TAR}+zstd"}, tag="zstd")
    error = await bench.refused(image(registry, ":zstd"))
    assert (error.reason, "gzip layers" in error.message) == ("UnexpectedContent", True)


async def test_of_an_index_this_machines_manifest_is_taken(registry, bench):
    ours, other = registry.put(MODEL, tag="a"), registry.put(BASE, tag="b")
    architecture = find_architecture()

    def entry(digest: str, name: str) -> dict[str, object]:
        return {"digest": digest, "platform": {"os": "linux", "architecture": name}}

    listed = [entry(other, "s390x"), entry(ours, architecture)]
    registry.put_manifest({"mediaType": INDEX, "manifests": listed}, INDEX, "v1")
    assert "model.bin" in read_all((await bench.fetch(image(registry))).path)
    registry.put_manifest({"mediaType": INDEX, "manifests": listed[:1]}, INDEX, "v2")
    error = await bench.refused(image(registry, ":v2"))
    assert f"has no manifest for linux/{architecture} (it has linux/s390x)" in error.message


async def test_artifacts_of_files_are_their_files(registry, bench):
    registry.put(
        {"data": WEIGHTS, "mediaType": "application/x-model", "annotations": {TITLE: "m.bin"}},
        {"data": b"{}", "mediaType": "text/plain", "annotations": {TITLE: "a/b.json"}},
        config="application/vnd.oci.empty.v1+json",
    )
    fetched = await bench.fetch(image(registry))
    assert read_all(fetched.path) == {"m.bin": WEIGHTS, "a/b.json": b"{}"}
    registry.transferred()
    registry.put(
        {"data": WEIGHTS, "mediaType": "application/x-model", "annotations": {TITLE: "n.bin"}}
    )
    assert read_all((await bench.fetch(image(registry))).path) == {"n.bin": WEIGHTS}
    assert registry.transferred() == 0


async def test_folders_of_artifacts_are_unpacked(registry, bench):
    unpack = {"io.deis.oras.content.unpack": "true"}
    packed = make_layer(("kept/m", b"m"))
    registry.put({"data": packed, "mediaType": TAR, "annotations": {TITLE: "kept", **unpack}})
    assert read_all((await bench.fetch(image(registry))).path) == {"kept/m": b"m"}
    packed = make_layer(("models/m", b"m"))
    registry.put({"data": packed, "mediaType": TAR, "annotations": {TITLE: "models", **unpack}})
    assert read_all((await bench.fetch(image(registry))).path) == {"m": b"m"}


@pytest.mark.parametrize("title", ["../x", "/etc/x", "a/../../x", "a\0b"])
async def test_artifacts_name_no_file_outside_of_their_folder(registry, bench, title):
    registry.put({"data": b"x", "mediaType": "text/plain", "annotations": {TITLE: title}})
    assert (await bench.refused(image(registry))).reason == "SourceRefused"


async def test_a_cut_layer_goes_on_where_it_ended(registry, bench):
    registry.put(MODEL)
    registry.cuts = [100_000, 50_000]
    await bench.fetch(image(registry))
    assert registry.transferred() == len(MODEL)


async def test_other_bytes_than_the_digest_promises_are_refused(registry, bench):
    digest = registry.put(MODEL)
    good = registry.blobs[digest_of(MODEL)]
    registry.blobs[digest_of(MODEL)] = good[:-9] + bytes(9)
    error = await bench.refused(image(registry))
    assert (error.reason, digest_of(MODEL) in error.message) == ("ChecksumMismatch", True)
    registry.blobs[digest_of(MODEL)] = good
    registry.manifests[digest] = (CONFIG, b"{}")
    assert (await bench.refused(image(registry, f"@{digest}"))).reason == "ChecksumMismatch"
    assert bench.published == []


def login(registry: RegistryServer, pair: str) -> str:
    return json.dumps({"auths": {registry.host: {"auth": b64encode(pair.encode()).decode()}}})


@pytest.mark.parametrize("scheme", ["Bearer", "Basic"])
async def test_a_pull_secret_logs_in_as_the_registry_asks(registry, bench, scheme, tmp_path):
    registry.user, registry.scheme = "me:secret", scheme
    registry.put(BASE, MODEL)
    place = tmp_path / "config.json"
    place.write_text(login(registry, "me:secret"))
    bench.set(environment={"KSERVE_OCI_DOCKER_CONFIG": str(place)})
    assert "model.bin" in read_all((await bench.fetch(image(registry))).path)
    bench.set(files={str(place): login(registry, "me:wrong")})
    error = await bench.refused(image(registry, ":v2"))
    assert error.reason == "AuthenticationFailed"
    assert "wrong" not in error.message


async def test_a_token_that_expires_on_the_way_is_replaced(registry, bench, tmp_path):
    registry.user, registry.uses = "me:secret", 2
    registry.put(*(make_layer((f"models/{i}", b"%d" % i)) for i in range(6)))
    (tmp_path / "config.json").write_text(login(registry, "me:secret"))
    bench.set(environment={"DOCKER_CONFIG": str(tmp_path)})
    assert len(read_all((await bench.fetch(image(registry))).path)) == 6


async def test_the_program_that_keeps_a_persons_passwords_is_asked(
    registry, bench, tmp_path, monkeypatch
):
    registry.user = "me:secret"
    registry.put(MODEL)
    program = tmp_path / "docker-credential-kept"
    program.write_text(
        '#!/bin/sh\nread server; [ "$1" = get ] && echo "$server" >> "$0.asked"\n'
        'echo \'{"Username": "me", "Secret": "secret"}\'\n'
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "config.json").write_text('{"credsStore": "kept"}')
    secret = tmp_path / "secret.json"
    secret.write_text('{"credsStore": "kept"}')
    bench.set(environment={"KSERVE_OCI_DOCKER_CONFIG": str(secret)})
    assert (await bench.refused(image(registry))).reason == "AuthenticationFailed"
    assert not (tmp_path / "docker-credential-kept.asked").exists()
    bench.set(environment={"DOCKER_CONFIG": str(tmp_path)})
    assert "model.bin" in read_all((await bench.fetch(image(registry))).path)
    asked = (tmp_path / "docker-credential-kept.asked").read_text().strip()
    assert asked == registry.host


async def test_without_a_login_the_mend_is_to_log_in(registry, bench):
    registry.user = "me:secret"
    registry.put(MODEL)
    error = await bench.refused(image(registry))
    assert error.reason == "AuthenticationFailed"
    assert f"docker login {registry.host}" in error.message


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": []}', '{"auths": {"HOST": {"auth": "!"}}}',
             '{"auths": {"HOST": {"identitytoken": "secret"}}}']
)  # fmt: skip
async def test_logins_that_cannot_be_read_name_their_file(registry, bench, text, tmp_path):
    registry.user = "me:secret"
    place = tmp_path / "config.json"
    place.write_text(text.replace("HOST", registry.host))
    bench.set(environment={"KSERVE_OCI_DOCKER_CONFIG": str(place)})
    error = await bench.refused(image(registry))
    assert (error.reason, str(place) in error.message) == ("AuthenticationFailed", True)
    assert "secret" not in error.message.replace("imagePullSecret", "").replace("Secret anew", "")


@pytest.mark.parametrize(
    ("manifest", "reason"),
    [
        ([], "UnexpectedContent"),
        ({}, "UnexpectedContent"),
        ({"layers": 3}, "UnexpectedContent"),
        ({"layers": [3]}, "UnexpectedContent"),
        ({"layers": [{"mediaType": TAR, "digest": "sha256:../..", "size": 1}]},
         "UnexpectedContent"),
        ({"layers": [{"mediaType": TAR, "digest": digest_of(b""), "size": -1}]},
         "UnexpectedContent"),
        ({"layers": [{"mediaType": TAR, "digest": digest_of(b""), "size": 10**18}]},
         "DownloadTooLarge"),
        ({"layers": [{"mediaType": "text/x", "digest": digest_of(b""), "size": 1}]},
         "ModelNotFound"),
        ({"layers": []}, "ModelNotFound"),
        ({"layers": [{}] * 2000}, "UnexpectedContent"),
        ({"manifests": 3}, "ModelNotFound"),
        ({"manifests": [3, {"platform": 4}]}, "ModelNotFound"),
    ],
)  # fmt: skip
async def test_manifests_that_are_none_are_refused(registry, bench, manifest, reason):
    registry.put_manifest(manifest, CONFIG, "v1")
    assert (await bench.refused(image(registry))).reason == reason


async def test_what_the_registry_does_not_have_is_named(registry, bench):
    error = await bench.refused(image(registry, ":v9"))
    assert (error.reason, ":v9" in error.message) == ("ModelNotFound", True)


async def test_a_registry_on_a_private_address_is_refused_unless_allowed(registry, bench):
    registry.put(MODEL)
    bench.set(allowed_private_hosts=())
    assert (await bench.refused(image(registry))).reason == "SourceRefused"


async def test_several_fetches_of_one_image_transfer_it_once(registry, bench):
    registry.put(BASE, MODEL)
    fetched = await asyncio.gather(*(bench.fetch(image(registry)) for _ in range(3)))
    assert len({f.path for f in fetched}) == 1
    assert registry.transferred() == len(BASE) + len(MODEL)


D = f"sha256:{'a' * 64}"


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("oci://busybox", "oci://docker.io/library/busybox:latest"),
        ("oci://me/model:1", "oci://docker.io/me/model:1"),
        ("oci://ghcr.io/a/b/c:v1.0", "oci://ghcr.io/a/b/c:v1.0"),
        ("oci://localhost/m", "oci://localhost/m:latest"),
        (f"oci+fetch://r:5000/m@{D}", f"oci://r:5000/m@{D}"),
        (f"oci://r:5000/m:v1@{D}", f"oci://r:5000/m@{D}"),
        (f"oci://busybox@{D}", f"oci://docker.io/library/busybox@{D}"),
    ],
)
def test_references_are_read_as_docker_reads_them(uri, shown):
    assert parse_reference(uri).shown == shown


@pytest.mark.parametrize(
    "uri",
    ["oci://", "oci:///m", "oci://r.io/", "oci://r.io/M", "oci://r.io/m:", "oci://r.io/m:a/b",
     "oci://r.io/m@sha256:1", "oci://r.io/m@", "oci://r.io/../m", "oci://u:p@r.io/m",
     "oci://r.io:x/m", "oci://r.io/m?x", "oci://r .io/m"],
)  # fmt: skip
def test_a_uri_that_names_no_image_is_told(uri):
    with pytest.raises(StorageError, match=r"write oci://registry/repository:tag") as caught:
        parse_reference(uri)
    assert caught.value.reason == "InvalidURI"
    assert "u:p" not in caught.value.message


@given(st.text())
def test_any_text_is_a_reference_or_an_invalid_uri(text):
    try:
        reference = parse_reference(f"oci://{text}")
    except StorageError as error:
        if error.reason != "InvalidURI":
            raise
        return
    assert parse_reference(reference.shown) == reference


@pytest.mark.parametrize(
    ("uri", "variable", "base"),
    [
        ("oci://ghcr.io/a/m", "", "https://ghcr.io/v2/a/m"),
        ("oci://ghcr.io/a/m", "true", "http://ghcr.io/v2/a/m"),
        ("oci://me/m", "", "https://registry-1.docker.io/v2/me/m"),
        ("oci://localhost:5000/m", "", "http://localhost:5000/v2/m"),
        ("oci://127.0.0.1:5000/m", "", "http://127.0.0.1:5000/v2/m"),
        ("oci://localhost.example.com/m", "", "https://localhost.example.com/v2/m"),
    ],
)
def test_plain_http_is_for_this_machine_or_where_it_is_said(uri, variable, base):
    environment = {"KSERVE_OCI_INSECURE_REGISTRY": variable}
    assert make_base(parse_reference(uri), environment) == base


@pytest.mark.parametrize(
    ("uri", "key"),
    [
        ("oci://me/m", "https://index.docker.io/v1/"),
        ("oci://r.io/a/m", "r.io"),
        ("oci://r.io/a/m", "https://r.io/"),
        ("oci://r.io/a/m", "r.io/a"),
    ],
)
def test_logins_are_found_by_host_address_or_beginning(uri, key):
    other = {"r.io/b": {"auth": "b"}, "x.io": {"auth": "x"}}
    assert select_entry(parse_reference(uri), {**other, key: {"auth": "a"}}) == {"auth": "a"}
    assert select_entry(parse_reference("oci://y.io/m"), {**other, key: {"auth": "a"}}) == {}


TREES = st.dictionaries(
    st.sampled_from(["a", "b", "a/x", "a/y", "b/x/deep", "c"]), st.binary(max_size=3), max_size=4
).filter(lambda tree: not any(f"{one}/" in other for one in tree for other in tree))


@given(layers=st.lists(TREES, min_size=1, max_size=4))
def test_merged_layers_are_what_writing_them_one_after_another_gives(layers, tmp_path_factory):
    root = tmp_path_factory.mktemp("merge")
    content, expected = root / "content", dict[str, bytes]()
    content.mkdir()
    for number, layer in enumerate(layers):
        folder = root / str(number)
        folder.mkdir()
        for name, data in layer.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
            above = {name[:i] for i in range(len(name)) if name[i] == "/"}
            expected = {
                k: v for k, v in expected.items() if k not in above and not k.startswith(f"{name}/")
            }
            expected[name] = data
        merge_layer(folder, content)
    assert read_all(content) == expected


async def test_a_layer_that_unpacks_beyond_reason_is_refused(registry, bench):
    registry.put(make_layer(("models/m", bytes(5_000_000))))
    bench.set(max_bytes=1_000_000)
    assert (await bench.refused(image(registry))).reason == "ArchiveTooLarge"
    assert bench.published == []


async def test_a_layer_of_too_many_files_is_refused(registry, bench):
    registry.put(make_layer(*((f"models/{i}", b"") for i in range(50))))
    bench.set(max_files=20)
    assert (await bench.refused(image(registry))).reason == "ArchiveTooLarge"


@pytest.mark.parametrize("spoil", [lambda b: b[:-20], lambda b: b"x" * len(b), lambda _: b""])
async def test_a_layer_that_is_no_archive_is_told(registry, bench, spoil):
    registry.put(spoil(MODEL))
    error = await bench.refused(image(registry))
    assert error.reason in {"ArchiveInvalid", "ModelNotFound"}
    assert bench.published == []


async def test_a_layer_that_does_not_fit_is_refused_before_it_comes(registry, bench):
    registry.put(MODEL)
    bench.set(reserve_bytes=2**60)
    assert (await bench.refused(image(registry))).reason == "DiskFull"
    assert registry.transferred() == 0


async def test_a_manifest_without_end_is_cut_off(registry, bench):
    registry.act = lambda r: (200, {}, b" " * 5_000_000) if "/manifests/" in r.path else None
    assert (await bench.refused(image(registry))).reason == "UnexpectedContent"


@pytest.mark.parametrize("realm", ["ftp://x/token", "token", "http://10.0.0.1/token"])
async def test_a_registry_sends_nobody_just_anywhere_to_log_in(registry, bench, realm):
    challenge = {"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'}
    registry.act = lambda _: (401, challenge, b"")
    assert (await bench.refused(image(registry))).reason == "SourceRefused"


async def test_who_lists_the_digests_of_another_repository_gets_nothing_by_it(registry, bench):
    weights = {"mediaType": "text/plain", "annotations": {TITLE: "m.bin"}}
    registry.put(MODEL, tag="image")
    registry.put({"data": WEIGHTS, **weights}, tag="file")
    for tag in ("image", "file"):
        await bench.fetch(image(registry, f":{tag}"))
    registry.blobs.clear()
    for tag in ("image", "file"):
        error = await bench.refused(f"oci://{registry.host}/evil/list:{tag}")
        assert (tag, error.reason) == (tag, "ModelNotFound")
