-- Adds counted rows to the current five minutes, hour and day of a model version, unless too many other versions are counted.
-- ARGV: series, most series, how many levels; for each level seconds of a bucket and seconds to keep it; lane and amount of each count
-- Returns 1, or 0 if the version is not counted
local now, levels = tonumber(redis.call('TIME')[1]), tonumber(ARGV[3])
local index = keys.LIVE_COUNTS
if not redis.call('ZSCORE', index, ARGV[1]) then
  redis.call('ZREMRANGEBYSCORE', index, '-inf', now - tonumber(ARGV[3 + 2 * levels]))
  if redis.call('ZCARD', index) >= tonumber(ARGV[2]) then return 0 end
end
redis.call('ZADD', index, now, ARGV[1])
for level = 1, levels do
  local seconds, keep = tonumber(ARGV[2 + 2 * level]), ARGV[3 + 2 * level]
  local bucket = keys.live_counts .. string.format('%d:%d:', seconds, math.floor(now / seconds)) .. ARGV[1]
  local at = 4 + 2 * levels
  while at <= #ARGV do
    local command = {'BITFIELD', bucket, 'OVERFLOW', 'SAT'}
    -- Lua cannot unpack much more at once.
    for i = at, math.min(at + 998, #ARGV), 2 do
      local n = #command
      command[n + 1], command[n + 2], command[n + 3], command[n + 4] = 'INCRBY', 'u32', '#' .. ARGV[i], ARGV[i + 1]
    end
    redis.call(unpack(command))
    at = at + 1000
  end
  redis.call('EXPIRE', bucket, keep)
end
return 1
