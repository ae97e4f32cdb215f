-- Moves jobs of a delivery to new deliveries, to be retried at once or after a delay.
-- KEYS: delivery that had them, list, index of deliveries, delayed deliveries, counts
-- ARGV: ttl, '1' if the attempt does not count (the jobs did not run alone), then for each new delivery of one job: id, body, message, seconds of delay, job, attempt that failed
-- Returns how many jobs were moved.
local ttl = ARGV[1]
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
local old = redis.call('HMGET', KEYS[1], 'attempts', 'limit', 'queue')
-- HDEL is allowed although Redis is full, and then the other commands are too.
redis.call('HDEL', KEYS[1], '')
local taken = 0
for i = 3, #ARGV, 6 do
  local id, body, message, wait, job, attempt = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5]
  local key, delivery = keys.job .. job, keys.delivery .. id
  local record = redis.pcall('HMGET', key, 'state', 'attempt', 'watched')
  if old[1] and record[1] == 'running' and record[2] == attempt then
    redis.call('HSET', delivery, 'body', body, 'jobs', job, 'attempts', old[1], 'limit', old[2], 'queue', old[3])
    redis.call('EXPIRE', delivery, ttl)
    redis.call('HSET', key, 'state', 'queued', 'delivery', id, 'position', redis.call('HINCRBY', KEYS[5], 'entered', 1))
    if ARGV[2] == '1' then redis.call('HINCRBY', key, 'attempt', -1) end
    redis.call('HINCRBY', key, 'revision', 1)
    if wait > 0 then
      redis.call('ZADD', KEYS[4], string.format('%.3f', now + wait), id)
    else
      redis.call('ZADD', KEYS[3], now, id)
      redis.call('LPUSH', KEYS[2], message)
    end
    if record[3] then redis.call('PUBLISH', keys.event .. job, 'changed') end
    taken = taken + 1
  end
end
return taken
