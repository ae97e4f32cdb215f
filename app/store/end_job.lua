-- Ends a job without an outcome: cancelled by its caller, or expired in the queue. A result that a worker still computes is dropped.
-- KEYS: job     ARGV: id, state ('cancelled' or 'expired'), seconds to keep, owner that it must have ('' for any), owner of records without one,
--       owner of the caller, entry of the audit log if the job has another one ('' for none), its digest, most entries, milliseconds to keep them
-- Returns the state before (with an entry that was written: [state, ID of the entry, `prev`]), or nil if the job does not exist or has another owner.
local job = redis.call('HMGET', KEYS[1], 'state', 'watched', 'expires_at', 'webhook', 'parent', 'owner', 'counted')
if ARGV[4] ~= '' and (job[6] or ARGV[5]) ~= ARGV[4] then return nil end
if job[1] ~= 'queued' and job[1] ~= 'running' then
  redis.call('ZREM', keys.EXPIRING, ARGV[1])
  return job[1]
end
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
if ARGV[2] == 'cancelled' or (job[1] == 'queued' and tonumber(job[3]) < tonumber(now)) then
  redis.call('ZREM', keys.EXPIRING, ARGV[1])
  close_job(job[6], ARGV[1], job[7])
  redis.call('HSET', KEYS[1], 'state', ARGV[2], 'finished_at', now)
  redis.call('HINCRBY', KEYS[1], 'revision', 1)
  redis.call('EXPIRE', KEYS[1], ARGV[3])
  if job[4] or redis.call('EXISTS', keys.WEBHOOKS) == 1 then
    redis.call('ZADD', keys.EVENTS, 'NX', now, ARGV[1] .. ' completed')
  end
  if job[5] then
    redis.call('ZADD', keys.RECONCILE, now, job[5])
    redis.call('PUBLISH', keys.RECONCILE_DUE, 'due')
  end
  if job[2] then redis.call('PUBLISH', keys.event .. ARGV[1], 'changed') end
  if ARGV[7] ~= '' and (job[6] or ARGV[5]) ~= ARGV[6] then
    return {job[1], unpack(audit('changes', ARGV[7], ARGV[8], ARGV[9], ARGV[10]))}
  end
end
return job[1]
