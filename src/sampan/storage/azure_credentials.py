"""What Azure's requests are authorized by, in KServe's order.

A signature in the URI goes first. Then a client id: a service principal's secret, a pod's federated
token (workload identity) or the machine's managed identity; then a token or an account key; then
nothing. The old names of the variables begin with `AZ_`.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlencode, urlsplit

from sampan.storage.azure_signing import sign
from sampan.storage.azure_store import Authorize, AzureAccount
from sampan.storage.job import Job
from sampan.storage.objects.channel import Ask
from sampan.storage.objects.environment import make_settings_error
from sampan.storage.objects.tokens import (
    Obtain,
    Tokens,
    allowing,
    post_form,
    read_file,
    read_token,
    send,
)

_AUTHORITY = "https://login.microsoftonline.com"
_RESOURCE = "https://storage.azure.com/"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_INSTANCE = "169.254.169.254"
_INSTANCE_SECONDS = 2.0
_KEY = "AZURE_STORAGE_ACCESS_KEY"


async def make_authorizer(
    variables: Mapping[str, str], account: AzureAccount, query: str, job: Job
) -> tuple[Authorize, bool]:
    """Return how requests are authorized, and whether they are not; raise StorageError."""
    if query:
        return _by_signature(query), False
    client = _read(variables, "AZURE_CLIENT_ID")
    if client:
        return _by_token(Tokens(job, _select(variables, client, job))), False
    token = variables.get("AZURE_ACCESS_TOKEN", "").strip()
    if token:
        return _by_given_token(token), False
    key = variables.get(_KEY, "").strip()
    if key:
        return _by_key(account, key), False
    return _nothing, True


def _read(variables: Mapping[str, str], name: str) -> str:
    """Return a variable by its name, else by its old one."""
    old = name.replace("AZURE_", "AZ_", 1)
    return (variables.get(name) or variables.get(old) or "").strip()


def _select(variables: Mapping[str, str], client: str, job: Job) -> Obtain:
    tenant, secret = (_read(variables, f"AZURE_{n}") for n in ("TENANT_ID", "CLIENT_SECRET"))
    file = variables.get("AZURE_FEDERATED_TOKEN_FILE", "")
    if not secret and not (file and job.options.ambient):
        if job.options.ambient:
            return lambda: _ask_instance(client, job)
        raise make_settings_error(
            "AZURE_CLIENT_ID is set and AZURE_CLIENT_SECRET is not; add it to the Secret"
        )
    if not tenant or not tenant.replace("-", "").replace(".", "").isalnum():
        raise make_settings_error(
            f'AZURE_TENANT_ID is "{tenant}"; write the id of the directory that the client '
            "AZURE_CLIENT_ID is in"
        )
    authority = variables.get("AZURE_AUTHORITY_HOST", "").rstrip("/") or _AUTHORITY
    if urlsplit(authority).scheme not in {"https", "http"}:
        authority = f"https://{authority}"
    url = f"{authority}/{tenant}/oauth2/v2.0/token"
    form = {
        "grant_type": "client_credentials",
        "client_id": client,
        "scope": f"{_RESOURCE}.default",
    }
    about = f'Azure\'s client "{client}"'

    async def obtain() -> tuple[str, float]:
        if secret:
            return await post_form(job, url, {**form, "client_secret": secret}, about)
        token = (await read_file(job, file, "AZURE_FEDERATED_TOKEN_FILE")).strip()
        proof = {"client_assertion_type": _ASSERTION, "client_assertion": token}
        return await post_form(job, url, {**form, **proof}, about)

    return obtain


async def _ask_instance(client: str, job: Job) -> tuple[str, float]:
    query = urlencode({"api-version": "2018-02-01", "resource": _RESOURCE, "client_id": client})
    url = f"http://{_INSTANCE}/metadata/identity/oauth2/token?{query}"
    near = allowing(job, _INSTANCE, _INSTANCE_SECONDS)
    about = f'the managed identity "{client}"'
    return read_token(await send(near, Ask(url, {"Metadata": "true"}), about), about)


def _by_signature(query: str) -> Authorize:
    async def authorize(url: str, _: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        return f"{url}{'&' if '?' in url else '?'}{query}", {}

    return authorize


def _by_token(tokens: Tokens) -> Authorize:
    async def authorize(url: str, _: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        return url, {"Authorization": f"Bearer {await tokens.token()}"}

    return authorize


def _by_given_token(token: str) -> Authorize:
    async def authorize(url: str, _: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        return url, {"Authorization": f"Bearer {token}"}

    return authorize


def _by_key(account: AzureAccount, key: str) -> Authorize:
    async def authorize(url: str, headers: Mapping[str, str]) -> tuple[str, dict[str, str]]:
        try:
            return url, {"Authorization": sign(url, headers, account.name, key)}
        except ValueError:
            raise make_settings_error(
                f"{_KEY} is no base64, which every account key of Azure is; copy it anew"
            ) from None

    return authorize


async def _nothing(url: str, _: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    return url, {}
