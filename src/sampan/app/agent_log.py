"""The agent's log put together: who delivers its events, and who is trusted. Wiring only."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl

from sampan.agent.event_sink import EventSink
from sampan.agent.file_store import make_file_put
from sampan.agent.log import Deliver, Log
from sampan.agent.object_store import make_object_put
from sampan.agent.records import Shelf
from sampan.agent.store_sink import Marshal, Put, StoreSink, make_marshal, make_remote_marshal
from sampan.app.agent_log_arguments import LogOptions
from sampan.wire.upstream import Upstreams

logger = logging.getLogger("sampan.agent")


def start_log(options: LogOptions, loop: asyncio.AbstractEventLoop) -> Log:
    """Return a log that delivers."""
    log = Log(_make_deliver(options, loop), options.workers, options.batching)
    log.start()
    return log


def _make_deliver(options: LogOptions, loop: asyncio.AbstractEventLoop) -> Deliver:
    upstreams = Upstreams(loop, tls=_make_trust(options))
    if options.address is not None:
        pool = upstreams.pool(options.address.origin)
        return EventSink(pool, options.address, options.origin).deliver
    prefix = options.place.path if options.place else ""
    shelf = Shelf(options.url, options.origin, prefix, options.ca.name, options.skip_verify)
    marshal = _make_marshal(options, upstreams)
    return StoreSink(_make_put(options), marshal, shelf, options.store_path).deliver


def _make_put(options: LogOptions) -> Put:
    if options.place is not None:
        return make_object_put(options.place, os.environ)
    if options.folder is not None:
        return make_file_put(options.folder)
    raise AssertionError("a log goes to an address, a bucket or a folder")


def _make_marshal(options: LogOptions, upstreams: Upstreams) -> Marshal:
    address = options.marshaller
    if address is None:
        return make_marshal(options.form)
    return make_remote_marshal(upstreams.pool(address.origin), address)


def _make_trust(options: LogOptions) -> ssl.SSLContext | None:
    """KServe, logger: a CA file that is not there is warned about, and nothing is skipped then."""
    called = (options.address, options.marshaller)
    if all(address is None or address.origin.scheme != "https" for address in called):
        return None
    context = ssl.create_default_context()
    try:
        context.load_verify_locations(options.ca)
    except OSError as error:  # an SSLError is one, too
        why = error.strerror or error
        logger.warning('"%s" is not trusted (%s); mount the ConfigMap', options.ca, why)
        return context
    if options.skip_verify:
        logger.warning("--logger-tls-skip-verify: whoever answers gets the log")
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
