"""The init container with models of a hub and of a registry, as a pod's arguments name them."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from base64 import b64encode
from pathlib import Path

from tests.storage.hub_server import HubServer
from tests.storage.registry_server import RegistryServer, make_layer

WEIGHTS = b"w" * 5000


async def run(*arguments: str, **variables: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "sampan.app.storage_initializer", *arguments,
        env={**os.environ, **variables}, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    _, told = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, told.decode()


def read_all(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()
    }


async def test_a_pods_models_come_from_a_hub_and_a_registry(tmp_path):
    hub, registry = HubServer(token="hf_pod"), RegistryServer(user="me:secret")
    await hub.start()
    await registry.start()
    try:
        hub.commit({"config.json": b"{}", "model.bin": WEIGHTS, "model.gguf": b"g"})
        registry.put(make_layer(("models/sub/model.bin", WEIGHTS), ("etc/x", b"x")))
        config = tmp_path / "config.json"
        login = {"auths": {registry.host: {"auth": b64encode(b"me:secret").decode()}}}
        config.write_text(json.dumps(login))
        image = f"oci://{registry.host}/team/model:v1"
        variables = {
            "HF_ENDPOINT": hub.root, "HF_TOKEN": "hf_pod", "KSERVE_OCI_DOCKER_CONFIG": str(config)
        }  # fmt: skip
        code, told = await run(
            "hf://owner/model", str(tmp_path / "hf"), image, str(tmp_path / "image"),
            STORAGE_IGNORE_PATTERNS="*.gguf", **variables,
        )  # fmt: skip
        assert (code, "hf_pod" in told) == (0, False), told
        none = await run("hf://owner/none", str(tmp_path / "none"), **variables)
        missing = await run(image.replace("v1", "v2"), str(tmp_path / "none"), **variables)
    finally:
        await hub.stop()
        await registry.stop()
    assert read_all(tmp_path / "hf") == {"config.json": b"{}", "model.bin": WEIGHTS}
    assert read_all(tmp_path / "image") == {"sub/model.bin": WEIGHTS}
    assert (none[0], 'HuggingFace resource "owner/none" not found' in none[1]) == (1, True)
    assert (missing[0], "not found (status 404)" in missing[1]) == (1, True)
