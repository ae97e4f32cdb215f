-- What a running attempt of a job has yielded goes to those who watch it, and is kept for those who come. What came too late is dropped.
-- KEYS: job, its chunks
-- ARGV: channel of the job, attempt, run (one process' go at it), chunks to keep, seconds to keep them, then for each chunk: index, row, text
-- Returns 1, or 0 where that attempt no longer runs.
local job = redis.call('HMGET', KEYS[1], 'state', 'attempt', 'watched', 'revision')
if job[1] ~= 'running' or job[2] ~= ARGV[2] then return 0 end
local last, seen = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1], -1
if last and last[2][2] == ARGV[3] then
  -- Asked again, because the first answer did not arrive: what is there is not added twice.
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
