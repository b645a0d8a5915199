"""Fetching model artefacts: one file a scheme, one cache, safe archives.

Knows URIs and folders only. Which URI a service needs is decided in `sampan.plan`; where a model
appears in a replica (`mountPath`, many URIs) is the platform's. `fetch.fetch` is the way in.
"""

from __future__ import annotations

SCHEMES: dict[str, str] = {
    "file": "sampan.storage.file:fetch",
    "pvc": "sampan.storage.pvc:fetch",
    "https": "sampan.storage.https:fetch",
    "http": "sampan.storage.https:fetch",
    "s3": "sampan.storage.s3:fetch",
    "gs": "sampan.storage.gcs:fetch",
    "hf": "sampan.storage.hf:fetch",
    "oci": "sampan.storage.oci:fetch",
    "oci+fetch": "sampan.storage.oci:fetch",
    "oci+native": "sampan.storage.oci:fetch",
    "oci+modelcar": "sampan.storage.oci:fetch",
}
"""Scheme to its `async (uri, job) -> Fetched`, imported when first asked for.

A bare absolute path is a `file` URI. To add a scheme: one file here, one line above.
"""
