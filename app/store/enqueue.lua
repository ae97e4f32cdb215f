-- Puts a message for a delivery into its queue: the delivery was delayed or lost, or its worker died.
-- KEYS: delivery, index of deliveries, delayed deliveries, running deliveries     ARGV: id, message, name of the queue
-- Returns 1, or 0 if the delivery has ended.
redis.call('ZREM', KEYS[3], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local share = redis.call('HMGET', KEYS[1], 'shares', 'target')
if place(ARGV[3], ARGV[1], ARGV[2], share[1] or '', share[2]) then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[2], time[1] .. string.format('.%06d', time[2]), ARGV[1])
end
return 1
