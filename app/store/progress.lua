-- How far a running attempt of jobs has come. What came too late is dropped.
-- ARGV: prefix, progress, then for each job: id, attempt
for i = 3, #ARGV, 2 do
  local key = ARGV[1] .. 'job:' .. ARGV[i]
  local job = redis.pcall('HMGET', key, 'state', 'attempt', 'watched')
  if job[1] == 'running' and job[2] == ARGV[i + 1] then
    redis.call('HSET', key, 'progress', ARGV[2])
    redis.call('HINCRBY', key, 'revision', 1)
    if job[3] then redis.call('PUBLISH', ARGV[1] .. 'event:' .. ARGV[i], 'changed') end
  end
end
