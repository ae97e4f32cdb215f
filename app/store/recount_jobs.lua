-- Compares jobs with the open jobs of their owner, and corrects what differs.
-- KEYS: open jobs of the owner     ARGV: owner, then the ids
-- Returns how many differed.
local time, drift = redis.call('TIME'), 0
for i = 2, #ARGV do
  local key = keys.job .. ARGV[i]
  -- A record of a wrong type counts as none.
  local job = redis.pcall('HMGET', key, 'state', 'counted', 'owner')
  local open = (job[1] == 'queued' or job[1] == 'running') and job[2] and job[3] == ARGV[1]
  local expires_at = redis.call('ZSCORE', KEYS[1], ARGV[i])
  if open and not expires_at then
    redis.call('ZADD', KEYS[1], math.floor(time[1] + redis.call('PTTL', key) / 1000), ARGV[i])
    drift = drift + 1
  elseif expires_at and not open then
    redis.call('ZREM', KEYS[1], ARGV[i])
    -- A record that expired before its job ended is in order.
    if tonumber(expires_at) > tonumber(time[1]) then drift = drift + 1 end
  end
end
return drift
