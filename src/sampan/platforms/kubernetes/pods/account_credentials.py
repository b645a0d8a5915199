"""The credentials of a pod's ServiceAccount, for what fetches models and for the agent.

KServe, service account path: an AWS role of the account; then the Secret that the service names in
an annotation, else all of the account's. A ServiceAccount that is missing gives none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sampan.platforms.kubernetes.pods.containers import annotations_of
from sampan.platforms.kubernetes.pods.s3_settings import make_s3_settings
from sampan.platforms.kubernetes.pods.secret_credentials import Credentials, read_secret
from sampan.platforms.kubernetes.pods.surroundings import Surroundings

ROLE_ARN = "eks.amazonaws.com/role-arn"
DEFAULT_ACCOUNT = "default"


def make_account_credentials(
    pod: Mapping[str, Any], around: Surroundings, account: str = ""
) -> Credentials:
    """Return the credentials of a pod's account, or of the `account` that is named."""
    settings = around.settings.credentials
    spec = pod["spec"]
    name = account or spec.get("serviceAccountName") or spec.get("serviceAccount")
    found = around.accounts.get(name or DEFAULT_ACCOUNT)
    made = Credentials()
    if found is not None and ROLE_ARN in (found["metadata"].get("annotations") or {}):
        made += Credentials(tuple(make_s3_settings(found, settings.s3)))
    for secret in _secrets(pod, around, found):
        made += read_secret(around.secret(secret, "its credentials are wanted"), settings)
    return made


def _secrets(
    pod: Mapping[str, Any], around: Surroundings, account: Mapping[str, Any] | None
) -> tuple[str, ...]:
    key = around.settings.credentials.secret_annotation
    named = annotations_of(pod).get(key) if key else None
    if named:
        return (named,)
    listed = (account or {}).get("secrets") or ()
    return tuple(str(reference["name"]) for reference in listed)
