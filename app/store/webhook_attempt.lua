-- Records an attempt to send a webhook delivery.
-- KEYS: delivery, due deliveries, of the webhook: waiting deliveries, ended ones, all, health
-- ARGV: id, status, seconds until the next attempt, the attempt, most ended ones to keep, seconds to keep them,
--       1 if the failure counts against the webhook, failures in a row and seconds since the first after which it is disabled, reason to disable it at once
-- Returns why the webhook is disabled from now on, or ''.
local time = redis.call('TIME')
local now = tonumber(time[1] .. string.format('.%06d', time[2]))
local id, fate = ARGV[1], ARGV[2]
local notice = redis.call('HMGET', KEYS[1], 'fate', 'attempts', 'created_at')
-- Removed first: then Redis accepts the rest although it is full, and the delivery is not sent again.
redis.call('ZREM', KEYS[2], id)
if notice[1] ~= 'pending' then
  -- Another process delivered it meanwhile, or its record has expired.
  if not notice[1] then
    redis.call('ZREM', KEYS[3], id)
    redis.call('ZREM', KEYS[5], id)
  end
  return ''
end
local attempts = (notice[2] .. ARGV[4] .. '\n')
if #attempts > 8192 then attempts = attempts:sub(-8192):match('\n(.*)') end
redis.call('HSET', KEYS[1], 'attempts', attempts, 'fate', fate)
redis.call('HINCRBY', KEYS[1], 'tried', 1)
if fate == 'pending' then
  redis.call('ZADD', KEYS[2], string.format('%.6f', now + ARGV[3]), id)
else
  redis.call('ZREM', KEYS[3], id)
  redis.call('ZADD', KEYS[4], notice[3], id)
  redis.call('EXPIRE', KEYS[4], ARGV[6])
  local old = redis.call('ZRANGEBYSCORE', KEYS[4], '-inf', string.format('%.6f', now - ARGV[6]), 'LIMIT', 0, 100)
  local many = redis.call('ZCARD', KEYS[4]) - tonumber(ARGV[5])
  if #old == 0 and many > 0 then old = redis.call('ZRANGE', KEYS[4], 0, many - 1) end
  for _, other in ipairs(old) do
    redis.call('DEL', keys.webhook_delivery .. other)
    redis.call('ZREM', KEYS[4], other)
    redis.call('ZREM', KEYS[5], other)
  end
end
if fate == 'delivered' then
  redis.call('HDEL', KEYS[6], 'failures', 'failing_since')
elseif ARGV[7] == '1' then
  local failures = redis.call('HINCRBY', KEYS[6], 'failures', 1)
  redis.call('HSETNX', KEYS[6], 'failing_since', string.format('%.6f', now))
  local since = tonumber(redis.call('HGET', KEYS[6], 'failing_since'))
  local reason = ARGV[10]
  if reason == '' and failures >= tonumber(ARGV[8]) and now - since >= tonumber(ARGV[9]) then
    reason = failures .. ' attempts in a row have failed'
  end
  if reason ~= '' and redis.call('HSETNX', KEYS[6], 'disabled', reason) == 1 then return reason end
end
return ''
