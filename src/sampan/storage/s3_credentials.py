"""Where the keys of S3 come from: variables, else what a cloud's machine tells a pod.

AWS SDKs, credential providers, in their order: keys in variables; a role by a web identity (EKS
ServiceAccounts); the container's endpoint (EKS Pod Identity, ECS); the instance's metadata. All but
the first only where `FetchOptions.ambient` says so: on a laptop a service has what its own Secrets
give, and nothing of the person who runs the daemon.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from sampan.storage.base import StorageError
from sampan.storage.job import Job
from sampan.storage.objects.answers import parse_xml, read_refusal
from sampan.storage.objects.channel import Ask, Reply
from sampan.storage.objects.environment import is_true, make_settings_error
from sampan.storage.objects.tokens import send
from sampan.storage.s3_signing import AwsKeys
from sampan.storage.s3_store import KeySource

_EARLY_SECONDS = 300.0
"""Keys are renewed this long before they end: a request is signed before it is sent."""

_CONTAINER_HOST = "http://169.254.170.2"
_CONTAINER_HOSTS = frozenset({"169.254.170.2", "169.254.170.23", "127.0.0.1", "localhost", "::1"})
_INSTANCE = "http://169.254.169.254"
_INSTANCE_SECONDS = 1.0
"""The instance's own metadata is near; where it does not answer, there is none."""

_Obtain = Callable[[], Awaitable[AwsKeys | None]]


async def make_key_source(
    variables: Mapping[str, str], region: str, job: Job
) -> tuple[KeySource, bool]:
    """Return where keys come from, and whether there are none; raise StorageError."""
    if is_true(variables.get("awsAnonymousCredential", "")):
        return _none, True
    keys = make_static_keys(variables)
    if keys is not None:
        return _Kept(job, _always(keys), keys).keys, False
    if not job.options.ambient:
        return _none, True
    obtain = _select_ambient(variables, region, job)
    first = await obtain()
    if first is None:
        return _none, True
    return _Kept(job, obtain, first).keys, False


def make_static_keys(variables: Mapping[str, str]) -> AwsKeys | None:
    """Return the keys in variables, None where there are none; StorageError for half of them."""
    key, secret = (
        variables.get(name, "").strip() for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    )
    if bool(key) != bool(secret):
        there, missing = "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"
        if not key:
            there, missing = missing, there
        raise make_settings_error(
            f"{there} is set and {missing} is not; give both, or neither for a public bucket"
        )
    return AwsKeys(key, secret, variables.get("AWS_SESSION_TOKEN", "").strip()) if key else None


@dataclass(slots=True)
class _Kept:
    """Keys that are renewed when they are about to end."""

    job: Job
    obtain: _Obtain
    now_valid: AwsKeys | None

    async def keys(self) -> AwsKeys | None:
        """Return keys that are valid for a while."""
        ends = self.now_valid.expires if self.now_valid else 0.0
        if ends and self.job.world.clock.now() > ends - _EARLY_SECONDS:
            self.now_valid = await self.obtain()
        return self.now_valid


async def _none() -> AwsKeys | None:
    return None


def _always(keys: AwsKeys) -> _Obtain:
    async def obtain() -> AwsKeys:
        return keys

    return obtain


def _select_ambient(variables: Mapping[str, str], region: str, job: Job) -> _Obtain:
    token_file = variables.get("AWS_WEB_IDENTITY_TOKEN_FILE", "")
    role = variables.get("AWS_ROLE_ARN", "")
    if token_file and role:
        return lambda: _assume_role(variables, region, job)
    relative = variables.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "")
    url = variables.get("AWS_CONTAINER_CREDENTIALS_FULL_URI", "")
    url = f"{_CONTAINER_HOST}{relative}" if relative else url
    if url:
        return lambda: _ask_container(variables, url, job)
    if is_true(variables.get("AWS_EC2_METADATA_DISABLED", "")):
        return _none
    return lambda: _ask_instance(job)


async def _assume_role(variables: Mapping[str, str], region: str, job: Job) -> AwsKeys:
    """AWS STS, AssumeRoleWithWebIdentity: a ServiceAccount's token for keys of a role."""
    token = await _read(variables["AWS_WEB_IDENTITY_TOKEN_FILE"])
    role = variables["AWS_ROLE_ARN"]
    form = {
        "Action": "AssumeRoleWithWebIdentity",
        "Version": "2011-06-15",
        "RoleArn": role,
        "RoleSessionName": variables.get("AWS_ROLE_SESSION_NAME") or "sampan",
        "WebIdentityToken": token,
    }
    ending = "com.cn" if region.startswith("cn-") else "com"
    url = variables.get("AWS_ENDPOINT_URL_STS") or f"https://sts.{region}.amazonaws.{ending}"
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    content = urlencode(form).encode()
    asked = Ask(
        f"{url.rstrip('/')}/",
        {**headers, "Content-Length": str(len(content))},
        method="POST",
        content=content,
    )
    reply = await send(job, asked, f"the role {role}")
    try:
        found = parse_xml(reply.body).find(".//Credentials")
        if reply.status != 200 or found is None:
            raise _refused(f'the role "{role}"', reply)
        told = {child.tag: child.text or "" for child in found}
        return _make_keys(told, "SessionToken")
    except (ValueError, KeyError):
        raise _refused(f'the role "{role}"', reply) from None


async def _ask_container(variables: Mapping[str, str], url: str, job: Job) -> AwsKeys:
    host = urlsplit(url).hostname or ""
    if host not in _CONTAINER_HOSTS and not url.startswith("https://"):
        raise make_settings_error(
            f'AWS_CONTAINER_CREDENTIALS_FULL_URI names the host "{host}", which would get the '
            "pod's token in plain; it is set by EKS and ECS: leave it to them"
        )
    token = variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN", "")
    file = variables.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "")
    token = await _read(file) if file else token
    job = _allowing(job, host)
    reply = await send(job, Ask(url, {"Authorization": token} if token else {}), "the container")
    return _read_json(reply, "the container's role")


async def _ask_instance(job: Job) -> AwsKeys | None:
    """IMDSv2: a token by PUT, the role's name, its keys. None where nobody answers or has one."""
    job = _allowing(job, "169.254.169.254", seconds=_INSTANCE_SECONDS)
    about = "the instance's metadata"
    with suppress(StorageError, UnicodeDecodeError):
        ttl = {"X-aws-ec2-metadata-token-ttl-seconds": "21600", "Content-Length": "0"}
        given = await send(job, Ask(f"{_INSTANCE}/latest/api/token", ttl, method="PUT"), about)
        headers = {"X-aws-ec2-metadata-token": given.body.decode("ascii")}
        roles = f"{_INSTANCE}/latest/meta-data/iam/security-credentials/"
        named = await send(job, Ask(roles, headers), about)
        role = named.body.decode("ascii").strip()
        if given.status == named.status == 200 and role:
            return _read_json(await send(job, Ask(f"{roles}{role}", headers), about), about)
    return None


def _allowing(job: Job, host: str, seconds: float = 0.0) -> Job:
    """Return a job that may ask one fixed address of the cloud's machine for credentials."""
    options = replace(job.options, allowed_private_hosts=(host,))
    if seconds:
        options = replace(options, connect_seconds=seconds, stall_seconds=seconds)
    return replace(job, options=options)


async def _read(path: str) -> str:
    try:
        return (await asyncio.to_thread(Path(path).read_text)).strip()
    except OSError as error:
        raise make_settings_error(
            f'the token "{path}" cannot be read ({error.strerror}); mount it, or leave the '
            "variable that names it"
        ) from None


def _read_json(reply: Reply, about: str) -> AwsKeys:
    try:
        told = json.loads(reply.body)
        return _make_keys(told, "Token")
    except (ValueError, KeyError, TypeError):
        raise _refused(about, reply) from None


def _make_keys(told: Mapping[str, str], token: str) -> AwsKeys:
    ends = datetime.fromisoformat(told["Expiration"]).timestamp()
    return AwsKeys(told["AccessKeyId"], told["SecretAccessKey"], told[token], ends)


def _refused(about: str, reply: Reply) -> StorageError:
    code, message = read_refusal(reply.headers, reply.body)
    told = ": ".join(text for text in (f"status {reply.status}", code, message) if text)
    return StorageError(
        "AuthenticationFailed",
        f"S3 authentication failed: no keys were given for {about} ({told}); check its trust "
        "policy and the annotation of the ServiceAccount",
    )
