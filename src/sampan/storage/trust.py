"""Whom downloads trust beyond what the machine trusts: the CA bundle that a cluster mounts.

KServe, CA bundle: a ConfigMap with `cabundle.crt` is mounted and named by two variables. The
bundle is added to the machine's certificates; one that cannot be read is told, and nothing else.
"""

from __future__ import annotations

import ssl
from collections.abc import MutableMapping
from pathlib import Path

NAME = "CA_BUNDLE_CONFIGMAP_NAME"
PLACE = "CA_BUNDLE_VOLUME_MOUNT_POINT"
FOLDER = "/etc/ssl/custom-certs"
FILE = "cabundle.crt"
TRUSTED = ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")


def extend_trust(environment: MutableMapping[str, str], folder: Path) -> str:
    """Write the machine's certificates and the bundle into `folder`, and have them trusted.

    Sets `SSL_CERT_FILE` and `REQUESTS_CA_BUNDLE` where they are not set. Before the first
    connection. Returns a warning, empty where all is well.
    """
    if not environment.get(NAME):
        return ""
    bundle = Path(environment.get(PLACE) or FOLDER) / FILE
    combined = folder / "trusted.crt"
    try:
        text = f"{_machine_certificates()}\n{bundle.read_text()}"
        ssl.create_default_context(cadata=bundle.read_text())
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        combined.write_text(text)
    except (OSError, ValueError) as error:  # an SSLError is an OSError
        why = getattr(error, "strerror", None) or str(error) or "it holds no certificate"
        return (
            f'the CA bundle "{bundle}" is not trusted ({why}); put PEM certificates under the key '
            f'"{FILE}" of the ConfigMap "{environment[NAME]}"'
        )
    for name in TRUSTED:
        environment.setdefault(name, str(combined))
    return ""


def _machine_certificates() -> str:
    file = ssl.get_default_verify_paths().cafile
    if not file:
        import certifi

        file = certifi.where()
    return Path(file).read_text()
