-- Turns an event into webhook deliveries. A delivery that exists stays unchanged, because the event may be handled twice.
-- KEYS: events, due deliveries     ARGV: event, seconds to keep a delivery, most that may wait for one webhook,
--       then for each delivery: id, webhook, url ('' for a registered webhook), body, trace context of the job ('' for none)
-- Returns how many older deliveries were dropped because too many wait.
local ttl, most = ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
local dropped = 0
for i = 4, #ARGV, 5 do
  local id, webhook, url, body, trace = unpack(ARGV, i, i + 4)
  local key = keys.webhook_delivery .. id
  local all, waiting, ended = keys.webhook_deliveries_of .. webhook, keys.webhook_deliveries_waiting .. webhook, keys.webhook_deliveries_ended .. webhook
  if redis.call('EXISTS', key) == 0 then
    redis.call('HSET', key, 'fate', 'pending', 'url', url, 'body', body, 'tried', 0, 'created_at', now, 'attempts', '')
    if trace ~= '' then redis.call('HSET', key, 'trace', trace) end
    redis.call('EXPIRE', key, ttl)
    redis.call('ZADD', KEYS[2], now, id)
    redis.call('ZADD', waiting, now, id)
    redis.call('ZADD', all, now, id)
    if redis.call('ZCARD', waiting) > most then
      local oldest = redis.call('ZPOPMIN', waiting)
      redis.call('ZREM', KEYS[2], oldest[1])
      redis.call('ZADD', ended, oldest[2], oldest[1])
      if redis.call('EXISTS', keys.webhook_delivery .. oldest[1]) == 1 then redis.call('HSET', keys.webhook_delivery .. oldest[1], 'fate', 'failed') end
      dropped = dropped + 1
    end
    for _, index in ipairs({all, waiting, ended}) do redis.call('EXPIRE', index, ttl) end
  end
end
redis.call('ZREM', KEYS[1], ARGV[1])
return dropped
