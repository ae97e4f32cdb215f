-- Marks a job as watched: from now on its changes are published, including its expiry.
-- KEYS: job, jobs by their deadline     ARGV: id, owner that it must have ('' for any), owner of records without one
-- Returns the record, as HGETALL does: nothing if it has another owner.
local job = redis.call('HMGET', KEYS[1], 'state', 'expires_at', 'owner')
if ARGV[2] ~= '' and (job[3] or ARGV[3]) ~= ARGV[2] then return {} end
if job[1] == 'queued' or job[1] == 'running' then
  redis.call('HSET', KEYS[1], 'watched', 1)
  redis.call('ZADD', KEYS[2], 'NX', job[2], ARGV[1])
end
return redis.call('HGETALL', KEYS[1])
