-- Adds a comparison of a version with its shadow.
-- ARGV: model/version/shadow, seconds to keep, most pairs of answers, 1 if the shadow raised, rows, rows that agree, largest difference;
-- then each pair of answers and how often it occurred
local key = keys.SHADOW_REPORTS .. ARGV[1]
redis.call('HINCRBY', key, 'jobs', 1)
redis.call('HINCRBY', key, 'failed', ARGV[4])
redis.call('HINCRBY', key, 'rows', ARGV[5])
redis.call('HINCRBY', key, 'agreed', ARGV[6])
if tonumber(ARGV[7]) > (tonumber(redis.call('HGET', key, 'largest') or '0') or 0) then redis.call('HSET', key, 'largest', ARGV[7]) end
for at = 8, #ARGV, 2 do
  if redis.call('HEXISTS', key, ARGV[at]) == 1 or redis.call('HLEN', key) < tonumber(ARGV[3]) then
    redis.call('HINCRBY', key, ARGV[at], ARGV[at + 1])
  end
end
redis.call('EXPIRE', key, ARGV[2])
return 1
