-- Repairs concurrency keys: a job that has ended or has no record gives back its slot. Jobs that are held back past their deadline expire.
-- ARGV: seconds between two checks of a key, most keys to check, seconds to keep a record if the key does not say it
-- Returns {keys checked, repairs}.
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
local due = redis.call('ZRANGEBYSCORE', keys.CONCURRENCY, '-inf', string.format('%.6f', now - ARGV[1]), 'LIMIT', 0, ARGV[2])
local repairs = 0
for _, name in ipairs(due) do
  redis.call('ZADD', keys.CONCURRENCY, now, name)
  repairs = repairs + check_types(name)
  local keep = redis.call('HGET', keys.concurrency .. name, 'keep') or ARGV[3]
  for _, id in ipairs(redis.call('ZRANGE', keys.admitted .. name, 0, -1)) do
    local state = redis.pcall('HGET', keys.job .. id, 'state')
    if state ~= 'queued' and state ~= 'running' then
      redis.call('ZREM', keys.admitted .. name, id)
      repairs = repairs + 1
    end
  end
  for _, id in ipairs(redis.call('ZRANGE', keys.waiting .. name, 0, -1)) do
    local job = redis.pcall('HMGET', keys.job .. id, 'state', 'held', 'expires_at')
    if job[1] == 'queued' and job[2] and tonumber(job[3]) < tonumber(now) then
      close(id, 'expired', now, keep)
      leave(id, name, now)
    elseif job[1] ~= 'queued' or not job[2] then
      redis.call('ZREM', keys.waiting .. name, id)
      repairs = repairs + 1
    end
  end
  admit(name, now)
end
return {#due, repairs}
