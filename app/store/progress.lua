-- Records the progress of running attempts. Progress of an attempt that has ended is dropped.
-- ARGV: progress, its fraction if it must not replace a larger one ('' otherwise), then for each job: id, attempt
for i = 3, #ARGV, 2 do
  local key = keys.job .. ARGV[i]
  local job = redis.pcall('HMGET', key, 'state', 'attempt', 'watched', 'progress')
  local behind = ARGV[2] ~= '' and job[4] and cjson.decode(job[4])[1] > tonumber(ARGV[2])
  if job[1] == 'running' and job[2] == ARGV[i + 1] and not behind then
    redis.call('HSET', key, 'progress', ARGV[1])
    redis.call('HINCRBY', key, 'revision', 1)
    if job[3] then redis.call('PUBLISH', keys.event .. ARGV[i], 'changed') end
  end
end