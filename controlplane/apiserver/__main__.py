"""kube-apiserver: reads the command line, opens the store, listens, and runs until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import random
import socket
import ssl
import sys
import time
from collections.abc import Sequence

from panal import log
from panal.tasks import run_until_signal

from ..store.contract import StoreError
from ..store.sqlite import SQLiteStore
from . import bootstrap, edge, housekeeping, kubernetesservice, options, standing
from .accounttokens import Filling
from .admission import VALIDATING, escalation
from .admission import signing as signing_rights
from .admission.stored import StoredObjects
from .allocation import Ranges
from .authn import Authenticator
from .authz import Authorizer
from .cache import Cache
from .connections import Server
from .context import Parts
from .custom.lifecycle import Lifecycle
from .custom.served import Served
from .logs import Kubelets
from .options import Options
from .policies import Policies
from .policies.mutating import MutatingPolicies
from .reading import Reader
from .registry import Registry
from .server import Application
from .tokens import Keys
from .webhooks import Webhooks
from .webhooks.calling import Caller
from .webhooks.conversions import Conversions

_log = logging.getLogger(__name__)

_BACKLOG = 1024


class _Fatal(Exception):
    """What ends the process with a sentence."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run kube-apiserver; 0 after SIGTERM, 1 with a sentence when it cannot start."""
    chosen = options.parse(sys.argv[1:] if argv is None else argv)
    log.setup("kube-apiserver")
    try:
        return run_until_signal(lambda: _run(chosen))
    except _Fatal as error:
        _log.critical("%s", error)
        return 1


async def _run(chosen: Options) -> None:
    began = time.monotonic()
    context = _tls(chosen)
    signing = _keys(chosen)
    listener = _listen(chosen)
    try:
        store = await SQLiteStore.open(chosen.data_dir)
    except StoreError as error:
        raise _Fatal(str(error)) from error
    try:
        cache = Cache(store)
        await cache.start()
        async with asyncio.TaskGroup() as group:
            following = group.create_task(cache.run(), name="watch cache")
            await cache.reached(await store.revision())  # nobody may see what it replays for watchers
            parts = _parts(chosen, store, cache, signing)
            await bootstrap.run(parts, store)
            definitions = Lifecycle(cache, parts.registry, parts.custom, time.time)
            group.create_task(definitions.run(), name="custom resource definitions")
            group.create_task(housekeeping.compact(cache, store, chosen.etcd_compaction_interval), name="compaction")
            group.create_task(housekeeping.expire_events(cache, store, time.time), name="expiry of events")
            port = listener.getsockname()[1]
            await kubernetesservice.publish(parts, port)
            group.create_task(standing.keep(parts, store, port), name="what stands")
            application = Application(parts, f"{chosen.advertise_address}:{port}")
            server = Server(application)
            loop = asyncio.get_running_loop()
            listening = [
                await loop.create_server(server, sock=each, ssl=context, backlog=_BACKLOG)
                for each in (listener, *_edge_listeners(chosen))
            ]
            _log.info("serving on %s:%d after %.0f ms", chosen.bind_address, port, (time.monotonic() - began) * 1000)
            _collect_seldom()
            try:
                await following
            finally:
                for each in listening:
                    each.close()
                await server.shutdown(0.2)
                await parts.kubelets.close()
    finally:
        await store.close()


_COLLECT_AFTER = 20_000
"""Containers made before the collector looks at the new ones: a request makes hundreds and leaves no cycles behind."""


def _collect_seldom() -> None:
    """What is there now stays; of the rest, reference counts take away nearly everything."""
    gc.freeze()
    gc.set_threshold(_COLLECT_AFTER, 20, 20)


def _parts(chosen: Options, store: SQLiteStore, cache: Cache, signing: Keys) -> Parts:
    rng = random.Random(os.urandom(32))
    ranges = Ranges(chosen.service_cluster_ip_range, chosen.service_node_port_range)
    authorizer = Authorizer(cache)
    kubelets = Kubelets(chosen)
    custom = Served(cache)
    stored = StoredObjects(cache)
    caller = Caller(stored, kubelets.plain)
    conversions = Conversions(caller, rng)
    webhooks = Webhooks(cache, stored, caller, conversions, rng)
    return Parts(
        options=chosen,
        cache=cache,
        registry=Registry(
            store,
            cache,
            rng,
            ranges,
            (
                escalation.guard(authorizer),
                signing_rights.guard(authorizer),
                *VALIDATING,
                Policies(cache, custom.by_kind),
            ),
            webhooks,
            (Filling(signing, chosen.client_ca_file), MutatingPolicies(cache, custom.by_kind)),
            conversions,
        ),
        reader=Reader(cache, store, conversions),
        authenticator=Authenticator(cache, signing, time.time),
        authorizer=authorizer,
        keys=signing,
        kubelets=kubelets,
        custom=custom,
        now=time.time,
        rng=rng,
    )


def _tls(chosen: Options) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0  # each client would keep 9 KiB of them for every connection, and none comes back to one
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_OPTIONAL
    for path in (chosen.tls_cert_file, chosen.tls_private_key_file, chosen.client_ca_file):
        try:
            path.read_bytes()
        except OSError as error:
            raise _Fatal(f"the file {path} cannot be read: {error.strerror}") from error
    try:
        context.load_cert_chain(chosen.tls_cert_file, chosen.tls_private_key_file)
        context.load_verify_locations(chosen.client_ca_file)
    except ssl.SSLError as error:
        raise _Fatal(f"the certificate {chosen.tls_cert_file} cannot be used: {error.reason}") from error
    return context


def _keys(chosen: Options) -> Keys:
    try:
        return Keys(
            chosen.service_account_signing_key_file, chosen.service_account_key_file, chosen.service_account_issuer
        )
    except OSError as error:
        raise _Fatal(f"the file {error.filename} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise _Fatal(f"the key {chosen.service_account_signing_key_file} cannot be used: {error}") from error


def _listen(chosen: Options) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((chosen.bind_address, chosen.secure_port))
    except OSError as error:
        listener.close()
        where = f"{chosen.bind_address}:{chosen.secure_port}"
        raise _Fatal(f"cannot listen on {where}: {error.strerror}") from error
    listener.setblocking(False)
    return listener


def _edge_listeners(chosen: Options) -> list[socket.socket]:
    if chosen.edge_socket is None:
        return []
    try:
        return edge.listeners(chosen.edge_socket, "api")
    except OSError as error:
        _log.warning("the edge at %s cannot be reached: %s", chosen.edge_socket, error)
        return []


if __name__ == "__main__":
    raise SystemExit(main())
