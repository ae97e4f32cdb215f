-- Finds deliveries that need a message and have none: those that are due after a delay, and those whose message was lost.
-- A message is lost if a worker dies between popping and registering it, or if Redis refuses the registration.
-- KEYS: list, index of deliveries, hash of messages that workers hold, delayed deliveries, running deliveries
-- ARGV: grace in seconds, most to return, seconds without a heartbeat after which a run is over
-- Returns [id, time limit in seconds, ...]; the limit is '' if the record has a wrong type: then it was removed from the indices
local time = redis.call('TIME')
local now = tonumber(time[1] .. string.format('.%06d', time[2]))
local horizon, most = now - tonumber(ARGV[1]), tonumber(ARGV[2])
local lost = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', now, 'LIMIT', 0, most)) do
  if redis.call('EXISTS', keys.delivery .. id) == 1 then
    lost[#lost + 1] = id
  else
    redis.call('ZREM', KEYS[4], id)
  end
end
local function headers(message)
  local valid, decoded = pcall(cjson.decode, message)
  return valid and type(decoded) == 'table' and type(decoded.headers) == 'table' and decoded.headers or {}
end
local queued = {}
-- Messages may be large: they are read only if a delivery is old enough to be lost.
if #redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.6f', horizon), 'LIMIT', 0, 1) > 0 then
  -- The list is first in, first out: a delivery older than the 50th message from the end is in none of the messages before it.
  local tail = redis.call('LRANGE', KEYS[1], -50, -1)
  for at, message in ipairs(tail) do
    local header = headers(message)
    local id = type(header.id) == 'string' and header.id
    if id then queued[id] = true end
    if at == 1 and #tail == 50 then
      horizon = math.min(horizon, tonumber(id and redis.call('ZSCORE', KEYS[2], id) or header.enqueued_at or 0) or 0)
    end
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', string.format('(%.6f', horizon), 'LIMIT', 0, most)) do
  if redis.call('EXISTS', keys.delivery .. id) == 0 then
    redis.call('ZREM', KEYS[2], id)
    redis.call('ZREM', KEYS[5], id)
  elseif redis.call('HEXISTS', KEYS[3], id) == 1 or tonumber(redis.call('ZSCORE', KEYS[5], id) or 0) > now - tonumber(ARGV[3]) then
    -- A worker holds it: check it again only after those that no worker holds.
    redis.call('ZADD', KEYS[2], now, id)
  elseif not queued[id] then
    lost[#lost + 1] = id
  end
end
local answer = {}
for _, id in ipairs(lost) do
  local limit = redis.pcall('HGET', keys.delivery .. id, 'limit')
  if type(limit) == 'table' then
    for _, index in ipairs({2, 4, 5}) do redis.call('ZREM', KEYS[index], id) end
    limit = ''
  end
  answer[#answer + 1] = id
  answer[#answer + 1] = limit or '0'
end
return answer
