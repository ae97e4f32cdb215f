-- Notes that a member of an index could not be handled. It is tried again later, and removed from the index after the last attempt.
-- KEYS: quarantine, its notes, index     ARGV: field of the note, member, note, attempts allowed (0: unlimited), first delay,
--       longest delay, most notes, seconds to keep them
-- Returns {failures so far, 1 if the member was removed from its index}
local time = redis.call('TIME')
local now = tonumber(time[1] .. string.format('.%06d', time[2]))
local function broken(command, key)
  local answer = redis.pcall(command, key)
  return type(answer) == 'table' and answer.err ~= nil
end
if broken('ZCARD', KEYS[1]) then redis.call('DEL', KEYS[1]) end
if broken('HLEN', KEYS[2]) then redis.call('DEL', KEYS[2]) end
local failures = 1 + (tonumber((redis.call('HGET', KEYS[2], ARGV[1]) or ''):match('^%d+')) or 0)
redis.call('HSET', KEYS[2], ARGV[1], failures .. '\n' .. ARGV[3])
redis.call('ZADD', KEYS[1], string.format('%.6f', now), ARGV[1])
local old = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', string.format('%.6f', now - ARGV[8]))
local many = redis.call('ZCARD', KEYS[1]) - #old - tonumber(ARGV[7])
if many > 0 then
  for _, field in ipairs(redis.call('ZRANGE', KEYS[1], #old, #old + many - 1)) do old[#old + 1] = field end
end
for _, field in ipairs(old) do
  redis.call('ZREM', KEYS[1], field)
  redis.call('HDEL', KEYS[2], field)
end
for i = 1, 2 do redis.call('EXPIRE', KEYS[i], ARGV[8]) end
local allowed = tonumber(ARGV[4])
if broken('ZCARD', KEYS[3]) then return {failures, 0} end
if allowed > 0 and failures >= allowed then
  redis.call('ZREM', KEYS[3], ARGV[2])
  return {failures, 1}
end
local delay = math.min(tonumber(ARGV[6]), tonumber(ARGV[5]) * 2 ^ math.min(failures - 1, 30))
redis.call('ZADD', KEYS[3], 'XX', string.format('%.6f', now + delay), ARGV[2])
return {failures, 0}
