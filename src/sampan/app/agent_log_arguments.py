"""What the agent is told of its log, with KServe's names and defaults."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit

from sampan.agent.events import Origin
from sampan.agent.log import Batching
from sampan.agent.marshalling import FORMATS
from sampan.app.argument_types import boolean, positive
from sampan.machinery.go_duration import parse_duration
from sampan.machinery.web_address import InvalidAddress, WebAddress, parse_address
from sampan.storage.base import StorageError
from sampan.storage.objects.store import Place
from sampan.storage.writing import SCHEMES, parse_destination

CA_FOLDER = Path("/etc/tls/logger")
EMBEDDED = "http://localhost:9083/marshal"
"""KServe's own marshaller, which here is no server: files are made in this process."""

_STORES = ("log_store_path", "log_store_format", "log_batch_size", "log_batch_interval")
_SCHEMES = "write http:// or https:// for events, s3://BUCKET or file:///FOLDER for files"


@dataclass(frozen=True, slots=True)
class LogOptions:
    """What is logged, and where it goes: to `address` as events, or as files below `folder` or into
    the bucket of `place`.

    `form` is a key of `FORMATS`; `marshaller`, where there is one, makes the files in its place.
    """

    url: str
    address: WebAddress | None
    folder: Path | None
    place: Place | None
    mode: str
    workers: int
    origin: Origin
    ca: Path
    skip_verify: bool
    store_path: str
    form: str
    marshaller: WebAddress | None
    batching: Batching


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments."""
    add = parser.add_argument
    text = "where events go; for files s3://BUCKET or file:///FOLDER; empty: nothing is logged"
    add("--log-url", default="", help=text)
    add("--workers", type=positive, default=5, help="batches that are delivered at once")
    text = "ce-source of the events; http://localhost:PORT/ where it is empty"
    add("--source-uri", default="", help=text)
    add("--log-mode", default="all", choices=("all", "request", "response"), help="what is logged")
    for name in ("inference-service", "namespace", "endpoint", "component"):
        add(f"--{name}", default="", help="said in each event")
    add("--metadata-headers", default="", help="names between commas, said in ce-metadata")
    text = "key=value between commas, said in ce-annotations"
    add("--metadata-annotations", default="", help=text)
    text = f"in {CA_FOLDER}: who is trusted besides the machine's"
    add("--logger-ca-cert-file", default="service-ca.crt", help=text)
    text = "trust any sink, where the CA file is there"
    add("--logger-tls-skip-verify", nargs="?", const=True, default=False, type=boolean, help=text)
    _add_store_arguments(parser)


def _add_store_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    text = "of files: the folder below namespace, service and component"
    add("--log-store-path", default="", help=text)
    add("--log-store-format", default="json", choices=tuple(FORMATS), help="of files")
    text = "a server that makes files of records, in the place of this process"
    add("--log-marshaller-url", default="", help=text)
    add("--log-marshaller-port", default=9083, type=int, help="has no effect")
    add("--log-batch-size", default=1, type=positive, help="events that make a file")
    text = "for how long the first event of a file waits, as 10s; 0: until there are enough"
    add("--log-batch-interval", default="0", help=text)


def make_log_options(known: argparse.Namespace) -> LogOptions | None:
    """Return the options; None where nothing is logged. ValueError for a mistake."""
    if not known.log_url:
        return None
    address, folder, place = _sink(known.log_url)
    return LogOptions(
        url=known.log_url,
        address=address,
        folder=folder,
        place=place,
        mode=known.log_mode,
        workers=known.workers,
        origin=_origin(known),
        ca=CA_FOLDER / known.logger_ca_cert_file,
        skip_verify=known.logger_tls_skip_verify,
        store_path=known.log_store_path,
        form=known.log_store_format,
        marshaller=_marshaller(known.log_marshaller_url),
        batching=_batching(known, together=address is None),
    )


def describe_unheard(known: argparse.Namespace, defaults: Mapping[str, object]) -> Iterator[str]:
    """Yield a warning for each argument of the log that has no effect."""
    if known.log_marshaller_port != defaults["log_marshaller_port"]:
        yield "--log-marshaller-port has no effect: files are made in this process"
    if known.log_url and not urlsplit(known.log_url).scheme.startswith("http"):
        return
    for name in (*_STORES, "log_marshaller_url"):
        given = getattr(known, name)
        if given != defaults[name] and given != EMBEDDED:
            option = name.replace("_", "-")
            yield f"--{option} has no effect: it is of stores, and events go to an address"


def _batching(known: argparse.Namespace, *, together: bool) -> Batching:
    """KServe, dispatcher: the interval counts only where several events make a batch."""
    text = known.log_batch_interval
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise ValueError(f"--log-batch-interval: {error}") from None
    return Batching(known.log_batch_size, seconds) if together else Batching()


def _marshaller(url: str) -> WebAddress | None:
    if url in {"", EMBEDDED}:
        return None
    try:
        return parse_address(url)
    except InvalidAddress as error:
        raise ValueError(f"--log-marshaller-url: {error}") from None


def _sink(url: str) -> tuple[WebAddress | None, Path | None, Place | None]:
    parts = urlsplit(url)
    if parts.scheme in SCHEMES:
        try:
            return None, None, parse_destination(url)
        except StorageError as error:
            raise ValueError(f"--log-url: {error}") from None
    if parts.scheme == "file":
        path = Path(unquote(parts.path))
        if parts.netloc or not path.is_absolute():
            raise ValueError(f'--log-url is "{url}", which names no folder; {_SCHEMES}')
        return None, path, None
    try:
        return parse_address(url), None, None
    except InvalidAddress as error:
        raise ValueError(f"--log-url: {error}; {_SCHEMES}") from None


def _origin(known: argparse.Namespace) -> Origin:
    names = (name.strip().lower() for name in known.metadata_headers.split(","))
    return Origin(
        source=known.source_uri or f"http://localhost:{known.port}/",
        service=known.inference_service,
        namespace=known.namespace,
        component=known.component,
        endpoint=known.endpoint,
        metadata_headers=frozenset(filter(None, names)),
        annotations=_pairs(known.metadata_annotations),
    )


def _pairs(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not (key and equals):
            raise ValueError(f'--metadata-annotations holds "{part}"; write key=value')
        found[key] = value
    return found
