-- Repairs deliveries that are held back: a job that its concurrency key does not know takes its place again, and what has no job is removed.
-- ARGV: name of the queue, then the ids of deliveries
-- Returns how many were repaired.
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
local held, repairs = keys.held_back .. ARGV[1], 0
for i = 2, #ARGV do
  local delivery = ARGV[i]
  local id = redis.pcall('HGET', keys.delivery .. delivery, 'jobs')
  local job = type(id) == 'string' and redis.pcall('HMGET', keys.job .. id, 'state', 'held', 'concurrency', 'delivery') or {}
  local name = job[3]
  if redis.call('HEXISTS', held, delivery) == 0 then
    -- It was admitted meanwhile.
  elseif job[1] ~= 'queued' or not job[2] or not name or job[4] ~= delivery then
    redis.call('HDEL', held, delivery)
    redis.call('DEL', keys.delivery .. delivery)
    repairs = repairs + 1
  elseif check_types(name) > 0 or not redis.call('ZSCORE', keys.waiting .. name, id) then
    redis.call('ZADD', keys.waiting .. name, redis.call('HINCRBY', keys.concurrency .. name, 'order', 1), id)
    redis.call('ZADD', keys.CONCURRENCY, 'NX', now, name)
    for _, key in ipairs({keys.waiting .. name, keys.concurrency .. name}) do redis.call('EXPIRE', key, redis.call('TTL', keys.job .. id)) end
    admit(name, now)
    repairs = repairs + 1
  end
end
return repairs
