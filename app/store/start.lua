-- A worker takes a delivery: which of its jobs are to run? Counts the attempt, drops the cancelled and the expired.
-- KEYS: delivery, deliveries that run
-- ARGV: id of the delivery, worker, seconds that a finished record is kept, seconds without a sign of life after which a run is over
-- Returns nil where the delivery has ended or another process runs it, else {body, now, [attempt, 0 = do not run, -1 = attempts used up] for each job}
local found = redis.call('HMGET', KEYS[1], 'body', 'jobs', 'attempts', 'queue', 'started', 'runner')
if not found[1] then return nil end
local delivery, worker, keep = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
-- A connection that breaks brings a message back while its delivery still runs.
local alive = redis.call('ZSCORE', KEYS[2], delivery)
alive = alive and tonumber(alive) > tonumber(now) - tonumber(ARGV[4])
if alive and found[6] ~= worker then return nil end
-- Allowed though Redis is full, and then the others are: what is queued can run and be gone.
redis.call('HDEL', KEYS[1], '')
redis.call('ZADD', KEYS[2], now, delivery)
redis.call('HSET', KEYS[1], 'runner', worker)
local answer, count = {found[1], now}, 0
local told = redis.call('EXISTS', keys.WEBHOOKS) == 1
for id in found[2]:gmatch('%S+') do
  count = count + 1
  local key = keys.job .. id
  -- A record of a wrong type has no state: its job is not run, the others are.
  local job = redis.pcall('HMGET', key, 'state', 'expires_at', 'watched', 'attempt', 'delivery', 'tries', 'webhook', 'parent')
  local run, event = 0, nil
  -- A job that was given to another delivery is that one's to run.
  if (job[1] == 'queued' or job[1] == 'running') and job[5] == delivery then
    if job[1] == 'queued' and tonumber(job[2]) < tonumber(now) then
      redis.call('HSET', key, 'state', 'expired', 'finished_at', now)
      redis.call('EXPIRE', key, keep)
      redis.call('ZREM', keys.EXPIRING, id)
      event = ' completed'
      if job[8] then
        redis.call('ZADD', keys.FOLLOWUPS, now, job[8])
        redis.call('PUBLISH', keys.FOLLOWUPS_DUE, 'due')
      end
    elseif alive and job[1] == 'running' then
      -- The same process asks again: the first answer did not reach it.
      run = tonumber(job[4])
    elseif tonumber(job[4]) >= tonumber(found[3]) then
      run = -1
    else
      run = redis.call('HINCRBY', key, 'attempt', 1)
      redis.call('HSET', key, 'state', 'running', 'started_at', now, 'worker', worker, 'tries', (job[6] or '') .. now .. ' ' .. worker .. '\n')
      if run == 1 then event = ' start' end
    end
    redis.call('HINCRBY', key, 'revision', 1)
    if event and (told or job[7]) then redis.call('ZADD', keys.EVENTS, 'NX', now, id .. event) end
    if job[3] then redis.call('PUBLISH', keys.event .. id, 'changed') end
  end
  answer[#answer + 1] = run
end
if not found[5] then
  redis.call('HSET', KEYS[1], 'started', now)
  redis.call('HINCRBY', keys.counts .. found[4], 'left', count)
end
return answer
