-- Releases from the backlog of a queue what no worker released, and counts the deliveries in it again.
-- ARGV: name of the queue, target length, most owners to count
-- Returns {deliveries in the backlog, how many of them are in no list of an owner}; the second is 0 if there are too many owners to count.
local queue = ARGV[1]
local backlog, turns = keys.backlog .. queue, keys.turns .. queue
if redis.call('EXISTS', backlog) == 0 and redis.call('EXISTS', turns) == 0 then return {0, 0} end
if redis.call('EXISTS', turns) == 1 then redis.call('HSET', keys.fairness .. queue, 'target', ARGV[2]) end
release(queue)
local waiting, listed = redis.call('HLEN', backlog), 0
if redis.call('ZCARD', turns) > tonumber(ARGV[3]) then return {waiting, 0} end
for _, owner in ipairs(redis.call('ZRANGE', turns, 0, -1)) do
  local length = redis.pcall('LLEN', keys.backlog_of .. queue .. ':' .. owner)
  listed = listed + (type(length) == 'number' and length or 0)
end
return {waiting, waiting - listed}
