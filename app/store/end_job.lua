-- Ends a job without an outcome: cancelled by its caller, or expired in the queue. A result that a worker still computes is dropped.
-- KEYS: job     ARGV: id, state ('cancelled' or 'expired'), seconds to keep, owner that it must have ('' for any), owner of records without one,
--       owner of the caller, entry of the audit log if the job has another one ('' for none), its digest, most entries, milliseconds to keep them
-- Returns the state before (with an entry that was written: [state, ID of the entry, `prev`]), or nil if the job does not exist or has another owner.
local job = redis.call('HMGET', KEYS[1], 'state', 'owner', 'expires_at', 'concurrency')
if ARGV[4] ~= '' and (job[2] or ARGV[5]) ~= ARGV[4] then return nil end
if job[1] ~= 'queued' and job[1] ~= 'running' then
  redis.call('ZREM', keys.EXPIRING, ARGV[1])
  return job[1]
end
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
if ARGV[2] == 'cancelled' or (job[1] == 'queued' and tonumber(job[3]) < tonumber(now)) then
  close(ARGV[1], ARGV[2], now, ARGV[3])
  if job[4] then leave(ARGV[1], job[4], now) end
  if ARGV[7] ~= '' and (job[2] or ARGV[5]) ~= ARGV[6] then
    return {job[1], unpack(audit('changes', ARGV[7], ARGV[8], ARGV[9], ARGV[10]))}
  end
end
return job[1]
