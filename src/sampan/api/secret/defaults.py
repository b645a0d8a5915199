"""What a Secret gets where it says nothing: a type, and its plain texts as data."""

from __future__ import annotations

from base64 import b64encode

from sampan.machinery.registry import JsonObject


def default_secret(obj: JsonObject) -> JsonObject:
    """Return the Secret with `type` and with `stringData` merged into `data`.

    `stringData` is write-only: it wins over `data` and is never stored (Kubernetes API, "Secret").
    """
    secret = {name: value for name, value in obj.items() if name != "stringData"}
    secret.setdefault("type", "Opaque")
    texts = obj.get("stringData") or {}
    if texts:
        encoded = {key: b64encode(text.encode()).decode() for key, text in texts.items()}
        secret["data"] = {**secret.get("data", {}), **encoded}
    return secret
