"""What the Hub's API answers: the commit behind a revision, its files, and why not.

The API is that of huggingface.co, which mirrors keep to: `/api/models/{repo}/revision/{revision}`
and `/tree/{commit}?recursive=true` (`Link: rel="next"`), errors told by the header `X-Error-Code`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin

from sampan.storage.asking import Reply, ask, decode_json
from sampan.storage.base import StorageError
from sampan.storage.hf_uri import Hub, HubModel
from sampan.storage.http_status import make_status_error
from sampan.storage.job import Job
from sampan.storage.pieces import Piece
from sampan.storage.reporter import Reporter
from sampan.storage.source import Source, origin

_NEXT = re.compile(r'<([^>]+)>\s*;[^,]*\brel="?next"?')
_COMMIT = re.compile(r"[0-9a-f]{40}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|git:[0-9a-f]{40}")
_MAX_PAGES = 1000


@dataclass(frozen=True, slots=True)
class Commit:
    """What a revision stands for now. `gated`: files are for whom the owner has let in.

    `public`: the hub says that they are for everybody.
    """

    name: str
    gated: bool
    public: bool


async def resolve(hub: Hub, model: HubModel, parts: tuple[Job, Reporter], attempts: int) -> Commit:
    """Return the commit of a model's revision; raise StorageError."""
    path = f"/api/models/{model.repository}/revision/{quote(model.revision, safe='')}"
    source = hub.source(path, model.shown)
    found = await _ask(hub, model, source, parts, attempts)
    answer = decode_json(found, source)
    name = answer.get("sha") if isinstance(answer, Mapping) else None
    if not isinstance(answer, Mapping) or not _COMMIT.fullmatch(str(name)):
        raise _strange(source)
    gated = bool(answer.get("gated"))
    return Commit(str(name), gated, public=answer.get("private") is False and not gated)


async def require_access(
    hub: Hub, model: HubModel, parts: tuple[Job, Reporter], attempts: int
) -> None:
    """Raise StorageError unless whoever asks may have a gated model's files.

    Its commits and digests are told to everybody: without this, what somebody else has fetched
    would be served from the cache. A mirror that does not know the question is asked for files.
    """
    source = hub.source(f"/api/models/{model.repository}/auth-check", model.shown)
    reply = await ask(source, parts, attempts)
    if reply.status in {401, 403}:
        raise make_hub_error(hub, model, reply.status, reply.headers)


async def list_pieces(
    hub: Hub, model: HubModel, commit: str, parts: tuple[Job, Reporter]
) -> list[Piece]:
    """Return every file of a commit; raise StorageError."""
    path = f"/api/models/{model.repository}/tree/{commit}?recursive=true&expand=false"
    source, pieces = hub.source(path, model.shown), list[Piece]()
    for _ in range(_MAX_PAGES):
        reply = await _ask(hub, model, source, parts, parts[0].options.attempts)
        pieces += _read_tree(hub, model, commit, decode_json(reply, source))
        if len(pieces) > parts[0].options.max_files:
            return pieces  # too many already; whoever takes them says so
        following = _NEXT.search(reply.headers.get("link", ""))
        if following is None:
            return pieces
        url = urljoin(source.url, following[1])
        if origin(url) != origin(source.url):
            raise _strange(source)
        source = hub.follow(url, model.shown)
    raise _strange(source)


def _read_tree(hub: Hub, model: HubModel, commit: str, answer: Any) -> list[Piece]:
    """Return the files of one page; raise StorageError for what is no such page."""
    try:
        files = [item for item in answer if item["type"] == "file"]
        pieces = [_read_file(hub, model, commit, item) for item in files]
    except (KeyError, TypeError, ValueError, AttributeError):
        raise _strange(hub.source("/", model.shown)) from None
    if not all(piece.size >= 0 and _DIGEST.fullmatch(piece.digest) for piece in pieces):
        raise _strange(hub.source("/", model.shown))
    return pieces


def _read_file(hub: Hub, model: HubModel, commit: str, item: Any) -> Piece:
    """A file in large storage has its SHA-256, any other the name that Git gives it."""
    path, large = str(item["path"]), item.get("lfs")
    digest = f"sha256:{large['oid']}" if large else f"git:{item['oid']}"
    size = int(large["size"] if large else item["size"])
    return Piece(path, size, digest, hub.file(model, commit, path))


async def _ask(
    hub: Hub, model: HubModel, source: Source, parts: tuple[Job, Reporter], attempts: int
) -> Reply:
    reply = await ask(source, parts, attempts)
    if reply.status != 200:
        raise make_hub_error(hub, model, reply.status, reply.headers)
    return reply


def make_hub_error(
    hub: Hub, model: HubModel, status: int, headers: Mapping[str, str]
) -> StorageError:
    """Return what the Hub's refusal means. Pure.

    Without a token the Hub answers 401 for what is private as for what is not there at all.
    """
    code = headers.get("x-error-code", "")
    if code == "GatedRepo":
        return make_gated_error(hub, model)
    if code == "RevisionNotFound":
        return StorageError(
            "RevisionNotFound",
            f'the model "{model.repository}" has no revision "{model.revision}" on '
            f'"{hub.endpoint}"; name a branch, a tag or a commit of it, or none for "main"',
        )
    bad_token = "invalid" in headers.get("x-error-message", "").lower()
    if status == 401 and hub.token and (bad_token or code != "RepoNotFound"):
        return StorageError(
            "AuthenticationFailed",
            f'HuggingFace authentication failed for "{model.shown}": "{hub.endpoint}" does not '
            f"know the token; make a new one at {hub.endpoint}/settings/tokens and give it as "
            "HF_TOKEN",
        )
    if status in {401, 404} and code in {"RepoNotFound", ""}:
        mend = "check owner and name"
        if not hub.token:
            mend += ", and give a token as HF_TOKEN if it is private"
        return StorageError(
            "ModelNotFound",
            f'HuggingFace resource "{model.repository}" not found on "{hub.endpoint}" '
            f"(status {status}); {mend}",
        )
    return make_status_error(model.shown, status, headers)


def make_gated_error(hub: Hub, model: HubModel) -> StorageError:
    """Return the error for a model whose owner asks for terms to be accepted first."""
    page = f"{hub.endpoint}/{model.repository}"
    if hub.token:
        mend = f"accept its terms at {page} with the account of this token, and wait to be let in"
    else:
        mend = f"accept its terms at {page}, and give a token of that account as HF_TOKEN"
    return StorageError(
        "GatedModel", f'the model "{model.shown}" is for whom its owner lets in; {mend}'
    )


def _strange(source: Source) -> StorageError:
    return StorageError(
        "UnexpectedContent",
        f'"{origin(source.url)[1]}" does not answer for "{source.shown}" as a Hugging Face hub '
        "does; check HF_ENDPOINT",
    )
