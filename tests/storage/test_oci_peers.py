"""The stock ORAS client and a stock registry: what ours is asked by, and what it asks."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
from pathlib import Path

import httpx
import pytest
from tests.storage.registry_server import RegistryServer, digest_of, make_layer

PUSH_AND_PULL = """
import os, sys
from oras.client import OrasClient
host, folder, user, password = sys.argv[1:]
os.chdir(folder)
client = OrasClient(hostname=host, insecure=True, tls_verify=False)
if user:
    client.login(hostname=host, username=user, password=password, tls_verify=False)
files = ["model.bin:application/x-model", "kept"]
client.push(files=files, target=f"{host}/team/model:v1")
client.pull(target=f"{host}/team/model:v1", outdir="pulled")
"""
STOCK = os.environ.get("SAMPAN_TEST_REGISTRY") or shutil.which("docker-registry")


async def push_and_pull_by_oras(host: str, folder: Path, user: str = "") -> None:
    (folder / "kept").mkdir()
    (folder / "kept" / "config.json").write_bytes(b"{}")
    (folder / "model.bin").write_bytes(b"weights" * 1000)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PUSH_AND_PULL, host, str(folder), *(user or ":").split(":"),
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
    try:
        assert await asyncio.wait_for(process.wait(), 100) == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def assert_both_have_the_files(*folders: Path) -> None:
    for folder in folders:
        assert (folder / "model.bin").read_bytes() == b"weights" * 1000
        assert (folder / "kept" / "config.json").read_bytes() == b"{}"


async def test_what_oras_pushes_is_served_by_its_files(bench, tmp_path):
    registry = RegistryServer(user="me:secret")
    await registry.start()
    bench.set(allowed_private_hosts=("127.0.0.1", "localhost"), environment={"HOME": str(tmp_path)})
    try:
        await push_and_pull_by_oras(registry.host, tmp_path, "me:secret")
        fetched = await bench.fetch(f"oci://{registry.host}/team/model:v1")
    finally:
        await registry.stop()
    assert_both_have_the_files(fetched.path, tmp_path / "pulled")


def put_image(host: str, layer: bytes) -> str:
    """Push an image of one layer, as docker does it; return its digest."""
    kind = "application/vnd.docker.distribution.manifest.v2+json"
    kinds = ("container.image.v1+json", "image.rootfs.diff.tar.gzip")
    described = []
    with httpx.Client(base_url=f"http://{host}/v2/team/image/") as client:
        for name, data in zip(kinds, (b"{}", layer), strict=True):
            place = client.post("blobs/uploads/").headers["location"]
            client.put(place, params={**httpx.URL(place).params, "digest": digest_of(data)},
                       content=data).raise_for_status()  # fmt: skip
            media = f"application/vnd.docker.{name}"
            described.append({"mediaType": media, "size": len(data), "digest": digest_of(data)})
        manifest = {"schemaVersion": 2, "mediaType": kind, "config": described[0],
                    "layers": described[1:]}  # fmt: skip
        put = client.put("manifests/v1", json=manifest, headers={"Content-Type": kind})
        put.raise_for_status()
        return str(put.headers["docker-content-digest"])


@pytest.mark.slow
@pytest.mark.skipif(not STOCK, reason="no docker-registry here (Debian has it)")
async def test_a_stock_registry_is_asked_as_it_wants(bench, tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"localhost:{probe.getsockname()[1]}"
    (tmp_path / "registry.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{host}'}}\n"
        f"storage: {{filesystem: {{rootdirectory: '{tmp_path}/store'}}}}\n"
    )
    assert STOCK
    process = await asyncio.create_subprocess_exec(STOCK, "serve", str(tmp_path / "registry.yml"))
    bench.set(allowed_private_hosts=("127.0.0.1", "localhost", "::1"), attempts=8)
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as client:
            while True:
                try:
                    await client.get(f"http://{host}/v2/")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        await push_and_pull_by_oras(host, tmp_path)
        layer = make_layer(("models/m.bin", os.urandom(200_000)), ("etc/x", b"x"))
        digest = await asyncio.to_thread(put_image, host, layer)
        artifact = await bench.fetch(f"oci://{host}/team/model:v1")
        image = await bench.fetch(f"oci://{host}/team/image:v1")
        pinned = await bench.fetch(f"oci://{host}/team/image@{digest}")
    finally:
        process.kill()
        await process.wait()
    assert_both_have_the_files(artifact.path, tmp_path / "pulled")
    assert [p.name for p in image.path.iterdir()] == ["m.bin"]
    assert (pinned.path / "m.bin").samefile(image.path / "m.bin")
