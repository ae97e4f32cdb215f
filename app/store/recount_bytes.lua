-- Compares the bytes of inputs of the open jobs of an owner with their records, and corrects what differs.
-- KEYS: open jobs of the owner     ARGV: owner, most open jobs that are compared, '1' to compare only if records have expired before their jobs ended
-- Returns 1 if they differed, else 0.
local owner, time = ARGV[1], redis.call('TIME')
-- Nobody knows the bytes of a record that has expired.
local expired = redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. time[1])
if ARGV[3] == '1' and expired == 0 or redis.call('ZCARD', KEYS[1]) > tonumber(ARGV[2]) then return 0 end
local sum = 0
for _, id in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  -- A record of a wrong type counts as none.
  local job = redis.pcall('HMGET', keys.job .. id, 'state', 'counted', 'owner')
  if (job[1] == 'queued' or job[1] == 'running') and job[3] == owner then sum = sum + (tonumber(job[2]) or 0) end
end
if sum == (tonumber(redis.call('HGET', keys.OPEN_BYTES, owner)) or 0) then return 0 end
if sum > 0 then redis.call('HSET', keys.OPEN_BYTES, owner, string.format('%d', sum)) else redis.call('HDEL', keys.OPEN_BYTES, owner) end
return 1
