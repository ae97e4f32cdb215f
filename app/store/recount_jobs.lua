-- Compares jobs with the open jobs of their owner, and corrects what differs.
-- KEYS: open jobs of the owner     ARGV: owner, then the ids
-- Returns how many differed.
local time, drift = redis.call('TIME'), 0
for i = 2, #ARGV do
  local key = keys.job .. ARGV[i]
  -- A record of a wrong type counts as none.
  local job = redis.pcall('HMGET', key, 'state', 'counted', 'owner')
  local open = (job[1] == 'queued' or job[1] == 'running') and job[2] and job[3] == ARGV[1]
  drift = drift + correct(KEYS[1], ARGV[i], key, open, time[1])
end
return drift
