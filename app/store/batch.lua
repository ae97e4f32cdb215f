-- Changes a batch if it meets the preconditions: its record, its open chunks and its finished parts. All of it or nothing.
-- KEYS: record, open chunks, parts, chunks that are out in the pool, active batches of the pool, index of batches
-- ARGV: id, change (JSON): `statuses` it must be in; `expect` fields as they must be, `chunks_expect` chunks as they must be
--       (false: none); `quota` [owner, most batches that the owner may have open before]; `window` most chunks and plans that may be out before, `plans` most plans of these; `active` most batches that may be active before (a new one, of `owner`);
--       then what to change: `set`, `increase`, `chunks` (false: removed), `parts`, `out`, `back`, `status`, `final`, `ttl`
--       entry of the audit log ('' for none), its digest, most entries, milliseconds to keep them
-- Returns 1 (with an entry: [1, ID of the entry, `prev`]), 0 if a precondition is not met, or {'quota', batches that the owner has open}.
local id, change = ARGV[1], cjson.decode(ARGV[2])
local status = redis.call('HGET', KEYS[1], 'status')
if change.active then
  if status or redis.call('ZCARD', KEYS[5]) >= change.active then return 0 end
else
  if not status then return 0 end
  local expected = false
  for _, allowed in ipairs(change.statuses) do expected = expected or allowed == status end
  if not expected then return 0 end
end
for name, value in pairs(change.expect or {}) do
  if redis.call('HGET', KEYS[1], name) ~= value then return 0 end
end
for first, value in pairs(change.chunks_expect or {}) do
  if redis.call('HGET', KEYS[2], first) ~= value then return 0 end
end
if change.window and redis.call('ZCARD', KEYS[4]) >= change.window then return 0 end
if change.plans then
  local plans = 0
  for _, chunk in ipairs(redis.call('ZRANGE', KEYS[4], 0, -1)) do
    if string.find(chunk, '-plan-', 1, true) then plans = plans + 1 end
  end
  if plans >= change.plans then return 0 end
end
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
if change.quota then
  local open = redis.call('ZCOUNT', keys.open_batches .. change.quota[1], time[1], '+inf')
  if open >= change.quota[2] then return {'quota', open} end
  redis.call('HSET', KEYS[1], 'counted', change.quota[1])
end
for _, chunk in ipairs(change.back or {}) do redis.call('ZREM', KEYS[4], chunk) end
for _, chunk in ipairs(change.out or {}) do redis.call('ZADD', KEYS[4], now, chunk) end
for name, value in pairs(change.set or {}) do redis.call('HSET', KEYS[1], name, value) end
for name, by in pairs(change.increase or {}) do redis.call('HINCRBY', KEYS[1], name, by) end
for first, value in pairs(change.chunks or {}) do
  if value then redis.call('HSET', KEYS[2], first, value) else redis.call('HDEL', KEYS[2], first) end
end
for first, value in pairs(change.parts or {}) do redis.call('HSET', KEYS[3], first, value) end
if change.status then
  redis.call('HSET', KEYS[1], 'status', change.status, change.status .. '_at', now)
  local what = change.final and change.status or (change.status == 'in_progress' and 'started')
  if what and (redis.call('HEXISTS', KEYS[1], 'told') == 1 or redis.call('EXISTS', keys.WEBHOOKS) == 1) then
    -- A second later if the file is invalid: the request still waits and refuses the batch, which drops the event.
    local at = status == 'validating' and change.status == 'failed' and string.format('%.6f', now + 1) or now
    redis.call('ZADD', keys.EVENTS, 'NX', at, string.format('batch:%s:%s %s', id, redis.call('HGET', KEYS[1], 'round') or 0, what))
    redis.call('PUBLISH', keys.WEBHOOKS_DUE, 'due')
  end
  if change.final then redis.call('ZREM', KEYS[5], id) else redis.call('ZADD', KEYS[5], 'NX', now, id) end
end
if change.active then
  redis.call('ZADD', keys.OWNERS, now, change.owner)
  redis.call('ZADD', KEYS[6], now, id)
  redis.call('ZADD', keys.batches_of .. change.owner, now, id)
end
if change.ttl then redis.call('HSET', KEYS[1], 'ttl', change.ttl) end
local ttl, counted = unpack(redis.call('HMGET', KEYS[1], 'ttl', 'counted'))
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ttl) end
if counted then
  -- A batch is open as long as its pool lists it.
  if redis.call('ZSCORE', KEYS[5], id) then
    redis.call('ZADD', keys.open_batches .. counted, math.floor(now + ttl), id)
  else
    redis.call('ZREM', keys.open_batches .. counted, id)
  end
end
redis.call('HINCRBY', KEYS[1], 'revision', 1)
redis.call('PUBLISH', keys.event .. id, 'changed')
if ARGV[3] == '' then return 1 end
return {1, unpack(audit('changes', ARGV[3], ARGV[4], ARGV[5], ARGV[6]))}
