-- Puts deliveries into the queue that are in its backlog and in no list of an owner.
-- ARGV: name of the queue, then the ids
-- Returns how many there were.
local queue, restored = ARGV[1], 0
local time = redis.call('TIME')
for i = 2, #ARGV do
  local message = redis.call('HGET', keys.backlog .. queue, ARGV[i])
  if message then
    redis.call('HDEL', keys.backlog .. queue, ARGV[i])
    redis.call('LPUSH', keys.list_of .. queue, message)
    if redis.call('EXISTS', keys.delivery .. ARGV[i]) == 1 then
      redis.call('ZADD', keys.deliveries .. queue, time[1] .. string.format('.%06d', time[2]), ARGV[i])
    end
    restored = restored + 1
  end
end
return restored
