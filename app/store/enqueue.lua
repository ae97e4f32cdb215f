-- Puts a message for a delivery into its queue: the delivery was delayed or lost, or its worker died.
-- KEYS: delivery, list, index of deliveries, delayed deliveries, running deliveries     ARGV: id, message
-- Returns 1, or 0 if the delivery has ended.
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[5], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return 0
end
local time = redis.call('TIME')
redis.call('ZADD', KEYS[3], time[1] .. string.format('.%06d', time[2]), ARGV[1])
redis.call('LPUSH', KEYS[2], ARGV[2])
return 1
