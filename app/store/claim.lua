-- Takes members of a sorted set that are due, for a while: whoever took them removes or delays them, or they are due again.
-- KEYS: sorted set     ARGV: seconds, most
local time = redis.call('TIME')
local now = tonumber(time[1] .. string.format('.%06d', time[2]))
local found = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now), 'LIMIT', 0, ARGV[2])
for _, member in ipairs(found) do
  -- Removed first: then Redis lets the rest pass though it is full.
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZADD', KEYS[1], string.format('%.6f', now + ARGV[1]), member)
end
return found
