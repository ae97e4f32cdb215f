-- Claims members of a sorted set that are due. They are due again after a while unless the claimer removes or delays them.
-- KEYS: sorted set     ARGV: seconds of the claim, most to claim
-- Returns the claimed members, and the seconds until the next member is due ('' if there is none).
-- Most of the time the set is empty. Then nothing else is asked.
if not redis.call('ZRANGE', KEYS[1], 0, 0)[1] then return {{}, ''} end
local time = redis.call('TIME')
local now = tonumber(time[1] .. string.format('.%06d', time[2]))
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now), 'LIMIT', 0, ARGV[2])
for _, member in ipairs(due) do
  -- Removed first: then Redis accepts the rest although it is full.
  redis.call('ZREM', KEYS[1], member)
  redis.call('ZADD', KEYS[1], string.format('%.6f', now + ARGV[1]), member)
end
return {due, tostring(redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2] - now)}
