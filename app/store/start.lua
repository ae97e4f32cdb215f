-- Starts a delivery: decides which of its jobs run, counts the attempt, and skips cancelled and expired jobs. The backlog fills its place in the queue.
-- KEYS: delivery, running deliveries
-- ARGV: id of the delivery, worker, seconds that a finished record is kept, seconds without a heartbeat after which a run is over, name of the queue
-- Returns nil if the delivery has ended or another process runs it, 'paused' if its model is paused,
-- else {body, now, [attempt, 0 = do not run, -1 = attempts used up] for each job}
release(ARGV[5])
local fields = redis.call('HMGET', KEYS[1], 'body', 'jobs', 'attempts', 'queue', 'started', 'runner')
if not fields[1] then return nil end
local delivery, worker, keep = ARGV[1], ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
-- A broken connection returns a message to the queue while its delivery still runs.
local alive = redis.call('ZSCORE', KEYS[2], delivery)
alive = alive and tonumber(alive) > tonumber(now) - tonumber(ARGV[4])
if alive and fields[6] ~= worker then return nil end
if not alive and paused_model(delivery) then return 'paused' end
-- HDEL is allowed although Redis is full, and then the other commands are too: queued jobs can run and free memory.
redis.call('HDEL', KEYS[1], '')
redis.call('ZADD', KEYS[2], now, delivery)
redis.call('HSET', KEYS[1], 'runner', worker, 'began', now)
local answer, count = {fields[1], now}, 0
local webhooks = redis.call('EXISTS', keys.WEBHOOKS) == 1
for id in fields[2]:gmatch('%S+') do
  count = count + 1
  local key = keys.job .. id
  -- A record of a wrong type has no state: its job does not run, the others do.
  local job = redis.pcall('HMGET', key, 'state', 'expires_at', 'watched', 'attempt', 'delivery', 'tries', 'webhook', 'parent', 'owner', 'counted', 'concurrency', 'series', 'trace')
  local run, event = 0, nil
  -- A job that was moved to another delivery runs there.
  if (job[1] == 'queued' or job[1] == 'running') and job[5] == delivery then
    if job[1] == 'queued' and tonumber(job[2]) < tonumber(now) then
      redis.call('HSET', key, 'state', 'expired', 'finished_at', now)
      redis.call('EXPIRE', key, keep)
      redis.call('ZREM', keys.EXPIRING, id)
      close_job(job[9], id, job[10])
      event = ' completed'
      if job[11] then leave(id, job[11], now) end
      if job[12] then add_figures(job[12], now, {[4] = 1}) end
      if is_exported(job[13], 'expired', now) then export_traces('-', 1, {id}, now) end
      if job[8] then
        redis.call('ZADD', keys.RECONCILE, now, job[8])
        redis.call('PUBLISH', keys.RECONCILE_DUE, 'due')
      end
    elseif alive and job[1] == 'running' then
      -- The same process repeats the call: the first answer did not arrive.
      run = tonumber(job[4])
    elseif tonumber(job[4]) >= tonumber(fields[3]) then
      run = -1
    else
      run = redis.call('HINCRBY', key, 'attempt', 1)
      redis.call('HSET', key, 'state', 'running', 'started_at', now, 'worker', worker, 'tries', (job[6] or '') .. now .. ' ' .. worker .. '\n')
      if run == 1 then event = ' start' end
    end
    redis.call('HINCRBY', key, 'revision', 1)
    if event and (webhooks or job[7]) then
      redis.call('ZADD', keys.EVENTS, 'NX', now, id .. event)
      redis.call('PUBLISH', keys.WEBHOOKS_DUE, 'due')
    end
    if job[3] then redis.call('PUBLISH', keys.event .. id, 'changed') end
  end
  answer[#answer + 1] = run
end
if not fields[5] then
  redis.call('HSET', KEYS[1], 'started', now)
  redis.call('HINCRBY', keys.counts .. fields[4], 'left', count)
end
return answer
