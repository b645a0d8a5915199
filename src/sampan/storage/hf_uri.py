"""`hf://owner/model[:revision]` taken apart, and which hub it is asked from. Pure.

KServe, storage initializer: exactly an owner and a model; `HF_TOKEN` and `HF_ENDPOINT` as the Hub's
own library reads them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, urlsplit

from sampan.storage.base import StorageError
from sampan.storage.source import Source

HUB = "https://huggingface.co"
ENDPOINT = "HF_ENDPOINT"
TOKENS = ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")
"""The second is the older name of the first."""
OFFLINE = "HF_HUB_OFFLINE"

_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_-])?")
"""The Hub's rule for owners and models, 96 letters at most."""
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,254}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class HubModel:
    """What a URI names."""

    owner: str
    name: str
    revision: str

    @property
    def repository(self) -> str:
        """The name by which the Hub's API knows it."""
        return f"{self.owner}/{self.name}"

    @property
    def shown(self) -> str:
        """The URI, with its revision where that is not the default."""
        revision = "" if self.revision == "main" else f":{self.revision}"
        return f"hf://{self.repository}{revision}"

    @property
    def pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return bool(_COMMIT.fullmatch(self.revision))


def parse_model(uri: str) -> HubModel:
    """Return a URI's parts; raise StorageError with KServe's words."""
    rest = uri.partition("://")[2]
    parts = rest.split("/")
    if len(parts) != 2:
        raise _invalid(uri, "it has not exactly an owner and a model")
    owner, (name, colon, revision) = parts[0], parts[1].partition(":")
    for what, value, rule in (
        ("owner", owner, _NAME),
        ("model", name, _NAME),
        ("revision", revision if colon else "main", _REVISION),
    ):
        if not value:
            raise _invalid(uri, f"its {what} is empty")
        if not rule.fullmatch(value) or ".." in value:
            raise _invalid(uri, f'its {what} "{_hide(value)}" is no possible name')
    return HubModel(owner, name, revision or "main")


def _invalid(uri: str, why: str) -> StorageError:
    return StorageError(
        "InvalidURI",
        'Invalid Hugging Face URI format. Expected "hf://owner/model[:revision]", '
        f'got "{_hide(uri)}": {why}; correct the storage URI',
    )


def _hide(text: str) -> str:
    """Return a text without what stands before an `@`: a token, most likely."""
    return re.sub(r"^(hf://)?.*@", r"\1…@", text, flags=re.DOTALL)


@dataclass(frozen=True, slots=True)
class Hub:
    """Where to ask, and as whom."""

    endpoint: str
    token: str = field(repr=False, default="")
    offline: bool = False

    def source(self, path: str, shown: str) -> Source:
        """Return where something of the hub is; `path` is quoted already."""
        return self.follow(f"{self.endpoint}{path}", shown)

    def follow(self, url: str, shown: str) -> Source:
        """Return an address that the hub itself has given. The token goes to the hub only."""
        credentials = f"Bearer {self.token}" if self.token else ""
        return Source(url, shown, "", "", "", credentials)

    def file(self, model: HubModel, commit: str, path: str) -> Source:
        """Return where one file of a commit is."""
        where = f"/{model.repository}/resolve/{commit}/{quote(path)}"
        return self.source(where, f"{model.shown}/{path}")


def make_hub(environment: Mapping[str, str], token: str = "") -> Hub:
    """Return the hub that variables name; raise StorageError for one that cannot be asked.

    `token` is what stands in the file of the Hub's own command line; a variable wins over it.
    """
    endpoint = (environment.get(ENDPOINT) or HUB).rstrip("/")
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
        raise StorageError(
            "InvalidRequest",
            f'{ENDPOINT} is "{parts.scheme}://{parts.hostname or ""}", which is no address of a '
            'hub; write it as "https://hub.example.com"',
        )
    named = next((environment[name].strip() for name in TOKENS if environment.get(name)), "")
    token = named or token
    if not token.isascii() or not token.isprintable():
        raise StorageError(
            "InvalidRequest",
            "the token of the hub (HF_TOKEN) holds letters that no token has; copy it anew from "
            f"{endpoint}/settings/tokens",
        )
    offline = environment.get(OFFLINE, "").upper() in {"1", "ON", "YES", "TRUE"}
    return Hub(endpoint, token, offline)
