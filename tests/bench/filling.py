"""A long queue in seconds: jobs that were really submitted are copied inside Redis under other ids, with everything that belongs to them.

The copy knows no key of ours. Whatever names a job or a delivery holds an id, 32 hex digits; a copy differs in the last 8.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import redis

_ID: Final = re.compile(rb"[0-9a-f]{32}")
_TEMPLATE: Final = b"template:"
_CHUNK: Final = 2000
_COPY: Final = """
local suffix = ARGV[1]
local hex = ('%x'):rep(32)
local function other(text)
  return (text:gsub(hex, function(id) return id:sub(1, 24) .. suffix end))
end
for _, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key).ok
  local to = other(key:gsub('^template:', ''))
  if kind == 'hash' then
    local all = redis.call('HGETALL', key)
    for i = 2, #all, 2 do all[i] = other(all[i]) end
    redis.call('HSET', to, unpack(all))
  elseif kind == 'zset' then
    local all = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
    for i = 1, #all, 2 do redis.call('ZADD', to, all[i + 1], other(all[i])) end
  elseif kind == 'list' then
    for _, one in ipairs(redis.call('LRANGE', key, 0, -1)) do redis.call('RPUSH', to, other(one)) end
  elseif kind == 'string' then
    redis.call('SET', to, other(redis.call('GET', key)))
  end
  local left = redis.call('PTTL', key)
  if left > 0 then redis.call('PEXPIRE', to, left) end
end
"""


def multiply(client: redis.Redis, jobs: int, wanted: int) -> None:
    """`jobs` jobs wait: copies them until about `wanted` do. The worker must be stopped."""
    copy = client.register_script(_COPY)
    template: list[bytes] = []
    for key in list(client.scan_iter(count=1000)):
        if _ID.search(key):
            template.append(key)
        elif client.type(key) in (b"list", b"zset"):
            # These grow as they are copied: what is copied is what they were.
            client.copy(key, _TEMPLATE + key)
            template.append(_TEMPLATE + key)
    for number in range(1, round(wanted / jobs)):
        for chunk in _chunks(template):
            copy(keys=chunk, args=[f"{number:08x}"])
    for key in template:
        if key.startswith(_TEMPLATE):
            client.delete(key)


def _chunks(all: list[Any]) -> Iterator[list[Any]]:
    for at in range(0, len(all), _CHUNK):
        yield all[at : at + _CHUNK]
