-- Deliveries that should have a message and have none: those that are due after a delay, and those that were lost.
-- A message is lost where a worker dies between popping and registering it, or Redis refuses the registration.
-- KEYS: list, index of deliveries, hash of messages that workers hold, delayed deliveries, deliveries that run
-- ARGV: prefix, grace in seconds, most to return, seconds without a sign of life after which a run is over
-- Returns [id, time limit in seconds, ...]; the limit is '' for one whose record has a wrong type: it was removed from the indices
local time = redis.call('TIME')
local now = tonumber(time[1] .. string.format('.%06d', time[2]))
local most = tonumber(ARGV[3])
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, most)) do
  if redis.call('EXISTS', ARGV[1] .. 'delivery:' .. id) == 1 then
    found[#found + 1] = id
  else
    redis.call('ZREM', KEYS[4], id)
  end
end
-- The list is first in, first out: what is older than its 50th entry from the end is none of the entries before that one.
local seen, horizon = {}, now - tonumber(ARGV[2])
local tail = redis.call('LRANGE', KEYS[1], -50, -1)
for _, message in ipairs(tail) do
  local id = message:match('"id":%s*"(%x+)"')
  if id then seen[id] = true end
end
if #tail == 50 then
  local id = tail[1]:match('"id":%s*"(%x+)"')
  local enqueued = id and redis.call('ZSCORE', KEYS[2], id) or tail[1]:match('"enqueued_at":%s*([%d.]+)')
  horizon = math.min(horizon, tonumber(enqueued or 0))
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.6f', horizon), 'LIMIT', 0, most)) do
  if redis.call('EXISTS', ARGV[1] .. 'delivery:' .. id) == 0 then
    redis.call('ZREM', KEYS[2], id)
    redis.call('ZREM', KEYS[5], id)
  elseif redis.call('HEXISTS', KEYS[3], id) == 1 or tonumber(redis.call('ZSCORE', KEYS[5], id) or 0) > now - tonumber(ARGV[4]) then
    -- A worker holds it: look again only after those that nobody was seen with.
    redis.call('ZADD', KEYS[2], now, id)
  elseif not seen[id] then
    found[#found + 1] = id
  end
end
local answer = {}
for _, id in ipairs(found) do
  local limit = redis.pcall('HGET', ARGV[1] .. 'delivery:' .. id, 'limit')
  if type(limit) == 'table' then
    for _, index in ipairs({2, 4, 5}) do redis.call('ZREM', KEYS[index], id) end
    limit = ''
  end
  answer[#answer + 1] = id
  answer[#answer + 1] = limit or '0'
end
return answer
