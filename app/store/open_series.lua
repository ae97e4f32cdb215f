-- Notes that a series is in use. Above the limit it takes the place of the one that was not in use for longest, if that was a day or more.
-- KEYS: index of series     ARGV: series, most series
-- Returns 1 if the series is kept, else 0
local now = tonumber(redis.call('TIME')[1])
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) and redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then
  local oldest = redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')
  if tonumber(oldest[2]) > now - 86400 then return 0 end
  redis.call('ZREM', KEYS[1], oldest[1])
  local chunk = math.floor(now / 86400 / 32)
  for at = chunk - 13, chunk do redis.call('DEL', keys.stats_days .. string.format('%d', at) .. ':' .. oldest[1]) end
end
redis.call('ZADD', KEYS[1], now, ARGV[1])
return 1
