-- Appends the stream events of a running attempt, and notifies watchers. Events of an attempt that has ended are dropped.
-- KEYS: job, its stream events
-- ARGV: channel of the job, attempt, run (one run in one process), events to keep, seconds to keep them, then for each event: index, row, text
-- Returns 1, or 0 if the attempt no longer runs.
local job = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'watched', 'revision')
if job[1] ~= 'running' or job[2] ~= ARGV[2] then return 0 end
local last, seen = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1], -1
if last and last[2][2] == ARGV[3] then
  -- The call may be repeated because its answer was lost: events are not added twice.
  seen = tonumber(last[2][6])
else
  redis.call('DEL', KEYS[2])
  redis.call('HSET', KEYS[1], 'streamed', job[4])
end
for i = 6, #ARGV, 3 do
  if tonumber(ARGV[i]) > seen then
    local id = redis.call('HINCRBY', KEYS[1], 'revision', 1)
    redis.call('XADD', KEYS[2], 'MAXLEN', ARGV[4], id .. '-0', 'run', ARGV[3], 'attempt', ARGV[2], 'index', ARGV[i], 'row', ARGV[i + 1], 'text', ARGV[i + 2])
  end
end
redis.call('EXPIRE', KEYS[2], ARGV[5])
if job[3] then redis.call('PUBLISH', ARGV[1], 'changed') end
return 1
