"""The commands of `celeriac keys` that need no API: the first key, and keys for the keys file."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer
from celeriac_cli import running, show
from celeriac_cli.errors import CLIError, Exit
from celeriac_cli.keys import app
from celeriac_cli.options import JSON

if TYPE_CHECKING:
    from app.core.api_keys import ApiKey
    from app.services.api_keys import ApiKeyService
    from app.settings import Settings

Name = Annotated[str, typer.Argument(help="Human-readable name.")]
Role = Annotated[str, typer.Option(help="Set of scopes: viewer, user, operator or admin.")]
Owner = Annotated[str | None, typer.Option(help="Who owns what the key creates.", show_default=False)]


def add_commands() -> None:
    """Add the commands of this file to `celeriac keys`."""
    for command in (bootstrap, generate):
        app.command()(command)


def bootstrap(name: Name = "admin", role: Role = "admin", owner: Owner = None, json: JSON = False) -> None:
    """Create a key directly in Redis, and print it. The first admin key is created in this way.

    Redis is the one of `celeriac up` in this folder, else CELERIAC_REDIS_URL. Who reaches it can read and change every job, key or not.
    """
    from redis.exceptions import RedisError

    try:
        key, text = asyncio.run(_created({"name": name, "role": role, "owner": owner}))
    except (RedisError, OSError) as error:
        raise CLIError(f"Redis does not answer: {error}", Exit.UNREACHABLE) from None
    if json:
        show.print_json({"id": key.id, "name": key.name, "owner": key.owner, "role": key.role, "key": text})
        return
    show.note(f"API key {key.id} ({key.name}, owner {key.owner}): store it now, it is not shown again.")
    _print(text)


def generate(name: Name = "admin", role: Role = "admin", owner: Owner = None, json: JSON = False) -> None:
    """Generate a key and its entry for the keys file (CELERIAC_KEYS_FILE). Nothing is stored.

    Standard output has the key. The entry, which has the hash of the secret only, is on standard error, or in `--json`.
    """
    import yaml

    from app.core.api_keys import generate as generated
    from app.core.api_keys import hash_text
    from app.services.requests.api_keys import FileKey

    text, id, hash = generated()
    entry = {"id": id, "name": name, "owner": owner or "default", "role": role, "hash": hash_text(hash)}
    FileKey.parse(entry)
    if json:
        show.print_json({"key": text, "entry": entry})
        return
    show.note(f"add this to `keys:` in the keys file:\n{yaml.safe_dump([entry], sort_keys=False)}")
    _print(text)


def _print(text: str) -> None:
    show.out().print(text, soft_wrap=True, markup=False, highlight=False)


async def _created(fields: dict[str, Any]) -> tuple[ApiKey, str]:
    from app.services.requests.api_keys import Creation
    from app.settings import settings

    config = settings()
    async with _keys(str(running.read(config.state).get("redis_url") or config.redis_url.get_secret_value()), config) as keys:
        return await keys.create(Creation.parse(fields), created_by="bootstrap")


@asynccontextmanager
async def temporary(redis_url: str, config: Settings, seconds: float) -> AsyncIterator[str]:
    """A key that predicts while the block runs, and expires after `seconds` if this process is killed before its end."""
    from app.services.requests.api_keys import Creation

    async with _keys(redis_url, config) as keys:
        creation = Creation.parse({"name": "celeriac up", "role": "user", "expires_in_s": math.ceil(seconds)})
        key, text = await keys.create(creation, created_by="up")
        try:
            yield text
        finally:
            await keys.delete(key.id, "up")


@asynccontextmanager
async def _keys(redis_url: str, config: Settings) -> AsyncIterator[ApiKeyService]:
    from app.services.api_keys import ApiKeyService
    from app.services.api_keys_file import ApiKeysFile
    from app.store.redis.client import connect_async
    from app.store.redis.url import Address

    file = ApiKeysFile(config.keys_file)
    file.refresh()
    async with connect_async(Address.parse(redis_url, config)) as client:
        yield ApiKeyService(client, config, file)
