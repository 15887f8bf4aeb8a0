"""`panal token`: bootstrap tokens, by which other machines join."""

from __future__ import annotations

import datetime
import os
from collections.abc import Mapping
from typing import Any

import click

from panal import bootstraptoken, bundled, joinobjects
from panal.client import Client
from panal.config import ClusterConfig
from panal.durations import seconds
from panal.errors import NotFound
from panal.resources import resource

from ..failure import Failure
from ..running import cluster, configuration
from .api import administer, ensure, put

SECRETS = resource("secrets")
LONGEST = 366 * 86400.0


def create(name: str | None, ttl: str, description: str, environ: Mapping[str, str]) -> None:
    """Make a token and print the line that joins a machine with it. Raises Failure."""
    paths = cluster(name, environ)
    config = configuration(paths)
    where = endpoint(config)
    expires = _expiry(ttl)
    token = bootstraptoken.generate(os.urandom(128))
    authority = (paths.pki / "ca.crt").read_bytes()

    async def work(client: Client) -> None:
        await ensure(client, joinobjects.rights())
        await put(client, joinobjects.configuration(config, paths, bundled.VERSION))
        await _forget_expired(client)
        await client.create(SECRETS, bootstraptoken.secret(token, description, expires))
        await publish(client, where, authority)

    administer(paths, work)
    if expires is not None:
        click.echo(f"# Until {expires.astimezone():%Y-%m-%d %H:%M}, on each machine that is to join:", err=True)
    click.echo(f"panal node join {where} --token {token} \\")
    click.echo(f"    --discovery-token-ca-cert-hash {bootstraptoken.pin(authority)}")


def endpoint(config: ClusterConfig) -> str:
    """ADDRESS:PORT of the API server for other machines. Raises Failure where there is none."""
    if config.listen is not None:
        return f"{config.listen.advertise}:{config.listen.api_port}"
    if config.joined is not None:
        raise Failure("this machine has joined a cluster itself; make tokens where its control plane runs.")
    suffix = "" if config.name == "panal" else f" --name {config.name}"
    raise Failure(
        f"the cluster {config.name!r} listens on this machine's 127.0.0.1 only, where no other machine can come; start "
        f"it with `panal up{suffix} --listen auto`, or with the ADDRESS that others know this machine by."
    )


def show(name: str | None, environ: Mapping[str, str]) -> None:
    """List the tokens by their ids; the secrets stay where they are."""
    now = datetime.datetime.now(datetime.UTC)
    rows = []
    for secret in administer(cluster(name, environ), _stored):
        until = bootstraptoken.field(secret, "expiration") or "for ever"
        state = "expired" if bootstraptoken.expired(secret, now) else "good"
        rows.append(
            (bootstraptoken.field(secret, "token-id"), state, until, bootstraptoken.field(secret, "description"))
        )
    for row in (("ID", "STATE", "UNTIL", "DESCRIPTION"), *sorted(rows)):
        click.echo("{:<8} {:<8} {:<21} {}".format(*row).rstrip())


def delete(name: str | None, token: str, environ: Mapping[str, str]) -> None:
    """Take a token back: machines that have joined stay. Raises Failure."""
    token_id = token.partition(".")[0]
    paths = cluster(name, environ)
    where = endpoint(configuration(paths))
    authority = (paths.pki / "ca.crt").read_bytes()

    async def work(client: Client) -> bool:
        try:
            await client.delete(SECRETS, bootstraptoken.secret_name(token_id), bootstraptoken.SYSTEM)
        except (NotFound, ValueError):
            return False
        await publish(client, where, authority)
        return True

    if not administer(paths, work):
        raise Failure(f"there is no token with the id {token_id!r}; `panal token list` shows them.")
    click.echo(f"The token {token_id!r} is good for nothing any more.")


async def publish(client: Client, where: str, authority: bytes) -> None:
    """Let cluster-info be signed by every token there is."""
    secrets = await _stored(client)
    known = {bootstraptoken.field(each, "token-id"): bootstraptoken.field(each, "token-secret") for each in secrets}
    await put(client, bootstraptoken.cluster_info(f"https://{where}", authority, known))


async def _stored(client: Client) -> list[dict[str, Any]]:
    selector = f"type={bootstraptoken.SECRET_TYPE}"
    found = await client.list(SECRETS, bootstraptoken.SYSTEM, field_selector=selector)
    return list(found["items"])


async def _forget_expired(client: Client) -> None:
    now = datetime.datetime.now(datetime.UTC)
    for secret in await _stored(client):
        if bootstraptoken.expired(secret, now):
            await client.delete(SECRETS, secret["metadata"]["name"], bootstraptoken.SYSTEM)


def _expiry(ttl: str) -> datetime.datetime | None:
    """When a token made now ends; `0` is never. Raises Failure."""
    if ttl == "0":
        return None
    try:
        life = seconds(ttl)
    except (ValueError, TypeError):
        life = 0.0
    if not 0 < life <= LONGEST:
        raise Failure(f"--ttl {ttl!r} is no such time; write one such as 30m or 24h, or 0 for a token without end.")
    return datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=life)
