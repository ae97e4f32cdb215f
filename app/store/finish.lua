-- Ends a delivery: records every outcome (the first one of a job wins), notifies the API process that waits, and releases from the backlog.
-- KEYS: delivery, index of deliveries, index of dead letters, running deliveries
-- ARGV: id of the delivery, seconds to keep, reply channel ('' for none), reply, seconds to keep it if nobody is subscribed,
--       seconds to keep a dead letter, most of them, name of the queue, rows of each owner as JSON ('' if no usage is kept), pool,
--       model unless the delivery names one, price of an hour ('' for none), most series of a day, seconds to keep a day, spans of the code that ran,
--       '1' if its body is kept for those who read its jobs,
--       then for each job: id, attempt, state, result or error, body of its dead letter ('' for none), traceback, what it printed, its rows,
--       its part of the rows of the call
-- Returns the number of outcomes that came too late.
local keep, channel = ARGV[2], ARGV[3]
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
-- Without a delivery this call is repeated, and the run was counted.
local run = redis.pcall('HMGET', KEYS[1], 'began', 'rows_of', 'model')
local seconds, price = run[1] and math.max(0, now - run[1]), tonumber(ARGV[12])
local body = ARGV[16] == '1' and redis.pcall('HGET', KEYS[1], 'body')
-- Commands that free memory come first: then Redis accepts the others although it is full, and running jobs can end.
redis.call('DEL', KEYS[1])
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('ZREM', KEYS[4], ARGV[1])
if type(body) == 'string' then redis.call('SET', keys.job_inputs .. ARGV[1], body, 'EX', keep) end
-- Deliveries without records have no start.
release(ARGV[8])
local late, series, lanes, traced, ended_jobs, ended_rows = {}, nil, {}, {}, {}, {}
local webhooks = #ARGV > 16 and redis.call('EXISTS', keys.WEBHOOKS) == 1
for i = 17, #ARGV, 9 do
  local id, attempt, state, data, letter, trace = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4], ARGV[i + 5]
  local key = keys.job .. id
  -- A record of a wrong type must not keep the outcomes of the other jobs from being written.
  local job = redis.pcall('HMGET', key, 'state', 'attempt', 'watched', 'spec', 'tries', 'webhook', 'parent', 'owner', 'counted', 'concurrency', 'series',
    'created_at', 'started_at', 'trace')
  local open = job[1] == 'queued' or job[1] == 'running'
  -- A success counts whichever attempt it comes from; a failure counts only for the current attempt.
  if open and (state == 'succeeded' or job[2] == attempt) then
    close_job(job[8], id, job[9])
    local used = seconds and {'share', ARGV[i + 8]} or {}
    if seconds and price then used[3], used[4] = 'cost', string.format('%.6g', seconds * ARGV[i + 8] * price / 3600) end
    redis.call('HSET', key, 'state', state, 'finished_at', now, state == 'succeeded' and 'result' or 'error', data, unpack(used))
    redis.call('HINCRBY', key, 'revision', 1)
    redis.call('EXPIRE', key, keep)
    if ARGV[i + 6] ~= '' then redis.call('HSET', key, 'logs', ARGV[i + 6]) end
    if letter ~= '' then
      local dead = keys.dead .. id
      redis.call('HSET', dead, 'spec', job[4], 'error', data, 'body', letter, 'traceback', trace, 'tries', job[5] or '', 'died_at', now)
      if job[6] then redis.call('HSET', dead, 'webhook', job[6]) end
      if job[8] then redis.call('HSET', dead, 'owner', job[8]) end
      if job[14] then redis.call('HSET', dead, 'trace', job[14]) end
      redis.call('EXPIRE', dead, ARGV[6])
      redis.call('ZADD', KEYS[3], now, id)
    elseif trace ~= '' then
      redis.call('HSET', key, 'traceback', trace)
    end
    if webhooks or job[3] or job[6] or job[7] then redis.call('ZREM', keys.EXPIRING, id) end
    if webhooks or job[6] then
      redis.call('ZADD', keys.EVENTS, 'NX', now, id .. ' completed')
      redis.call('PUBLISH', keys.WEBHOOKS_DUE, 'due')
    end
    if job[7] then
      redis.call('ZADD', keys.RECONCILE, now, job[7])
      redis.call('PUBLISH', keys.RECONCILE_DUE, 'due')
    end
    if job[3] then redis.call('PUBLISH', keys.event .. id, 'changed') end
    if job[10] then leave(id, job[10], now) end
    local owner = job[8] or 'default'
    ended_jobs[owner], ended_rows[owner] = (ended_jobs[owner] or 0) + 1, (ended_rows[owner] or 0) + ARGV[i + 7]
    if is_exported(job[14], state, now) then traced[#traced + 1] = id end
    if job[11] then
      local first = tonumber((job[5] or ''):match('^[%d.]+'))
      -- The jobs of a delivery share the model version.
      series = job[11]
      tally(lanes, state, ARGV[i + 7], first and first - job[12], job[13] and now - job[13])
    end
  else
    late[#late + 1] = (i - 17) / 9
  end
end
add_figures(series, now, lanes)
if seconds and run[2] then add_run(run[2], seconds, now) end
if seconds and ARGV[9] ~= '' then
  local rows, all, day = cjson.decode(ARGV[9]), 0, math.floor(now / 86400)
  for _, count in pairs(rows) do all = all + count end
  for owner, count in pairs(rows) do
    add_usage(day, ARGV[10], run[3] or ARGV[11], owner, ARGV[13], ARGV[14], ended_jobs[owner] or 0, ended_rows[owner] or 0, seconds * count / all, price)
  end
end
if ARGV[15] ~= '' and traced[1] then redis.call('HSET', keys.job .. traced[1], 'spans', ARGV[15]) end
export_traces(ARGV[1], (#ARGV - 16) / 9, traced, now)
local many = redis.call('ZCARD', KEYS[3]) - tonumber(ARGV[7])
if many > 0 then
  for _, id in ipairs(redis.call('ZPOPMIN', KEYS[3], many)) do redis.call('DEL', keys.dead .. id) end
end
if channel ~= '' then
  local reply = table.concat(late, ',') .. ' ' .. now .. '\n' .. ARGV[4]
  -- A process that has lost its connection subscribes again, and then reads the list.
  if redis.call('PUBLISH', channel, reply) == 0 then
    redis.call('RPUSH', channel, reply)
    redis.call('EXPIRE', channel, ARGV[5])
  end
end
return #late
