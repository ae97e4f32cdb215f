-- Compares batches with the open batches of their owner, and corrects what differs.
-- KEYS: open batches of the owner     ARGV: owner, then the ids
-- Returns how many differed.
local time, drift = redis.call('TIME'), 0
for i = 2, #ARGV do
  local key = keys.batch .. ARGV[i]
  -- A record of a wrong type counts as none.
  local batch = redis.pcall('HMGET', key, 'order', 'counted')
  local valid, spec = pcall(cjson.decode, batch[1] or '')
  local open = valid and batch[2] == ARGV[1] and redis.call('ZSCORE', keys.batches_active .. spec.pool, ARGV[i])
  drift = drift + correct(KEYS[1], ARGV[i], key, open, time[1])
end
return drift
