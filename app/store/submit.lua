-- Submits a delivery: checks the limit, and writes the records of the jobs, the delivery and Celery's message. All of it or nothing.
-- KEYS: list, counts, index of jobs, delivery, index of deliveries
-- ARGV: name of the queue, largest length, message, body ('' if the message contains it; without jobs, one is kept beside the message), seconds to keep a record after its deadline, attempts allowed, time limit, id of the delivery,
--       parent of the jobs ('' for none), charges of the jobs for `rate_limits` ('' for none), shares of the owners for `place` ('' for none), target length,
--       concurrency key of the only job for `decide` ('' for none), model that may be paused ('' for none),
--       series that the jobs are counted in ('' for none),
--       then for each job: id, spec, seconds it may wait, its webhook ('' for none), its owner, its trace context ('' for none)
-- Returns {'full', length}, {'paused', deliveries that wait for the model} if that is the limit, {'exists', place of a job whose id is taken}, {'limited', what the rate limits refuse},
-- what `decide` refuses, or {'ok', position, now, jobs that have ever left the queue, what becomes of the jobs and then the deliveries to interrupt,
-- what remains of the rate limits}
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
local queue, ttl, shares, model = ARGV[1], ARGV[5], ARGV[11], ARGV[14]
local jobs = (#ARGV - 15) / 6
local seen = {}
for i = 1, jobs do
  local id = ARGV[10 + 6 * i]
  if seen[id] or redis.call('EXISTS', keys.job .. id) == 1 then return {'exists', i - 1} end
  seen[id] = true
end
-- Checked after the ids: a repeated submission succeeds although the queue is full.
local length, most = redis.call('LLEN', KEYS[1]) + redis.call('HLEN', keys.backlog .. queue), tonumber(ARGV[2])
local full = length >= most
-- Deliveries of a paused model do not enter the queue, and have a limit of their own.
local paused = model ~= '' and redis.call('HEXISTS', keys.PAUSED_MODELS, model) == 1
if paused then
  length, full = redis.call('ZCARD', keys.paused_deliveries .. model), false
  if length >= most then return {'paused', length} end
end
-- The last tenth is kept for owners with nothing in the backlog, so that one owner cannot fill the queue for all.
if shares ~= '' and not full and not paused and length >= 0.9 * most then
  full = true
  for _, share in ipairs(cjson.decode(shares)) do
    full = full and redis.call('ZSCORE', keys.turns .. queue, share[1])
  end
end
if full then return {'full', length} end
local gate, fate, refusal = ARGV[13] ~= '' and cjson.decode(ARGV[13]), 'admit', nil
if gate then fate, refusal = decide(gate, queue) end
if refusal then return refusal end
local refused, usages, counted, rows_of = rate_limits(ARGV[10], time)
if refused then return {'limited', refused} end
-- A job that is held back enters the queue when it is admitted.
local position = redis.call('HINCRBY', KEYS[2], 'entered', fate == 'admit' and jobs or 0)
if jobs > 0 then
  local ids, owners, longest, series = {}, {}, 0, ARGV[15] ~= '' and {'series', ARGV[15]} or {}
  local webhooks = ARGV[9] ~= '' or redis.call('EXISTS', keys.WEBHOOKS) == 1
  for i = 1, jobs do
    local id, spec, wait, webhook, owner, trace = unpack(ARGV, 10 + 6 * i, 15 + 6 * i)
    local key = keys.job .. id
    redis.call('HSET', key, 'state', 'queued', 'attempt', 0, 'spec', spec, 'created_at', now, 'expires_at', string.format('%.3f', now + wait),
      'position', position - jobs + i, 'queue', queue, 'delivery', ARGV[8], 'revision', 1, 'owner', owner, unpack(series))
    if webhook ~= '' then redis.call('HSET', key, 'webhook', webhook) end
    if trace ~= '' then redis.call('HSET', key, 'trace', trace) end
    if counted and counted[i] then open_job(owner, id, now + ttl + wait, counted[i]) end
    redis.call('EXPIRE', key, math.ceil(ttl + wait))
    longest = math.max(longest, wait)
    if webhooks or webhook ~= '' then redis.call('ZADD', keys.EXPIRING, string.format('%.3f', now + wait), id) end
    if ARGV[9] == '' then
      -- Once for each owner of the delivery.
      if not owners[owner] then redis.call('ZADD', keys.OWNERS, now, owner) end
      owners[owner] = true
      redis.call('ZADD', KEYS[3], now, id)
      redis.call('ZADD', keys.jobs_of .. owner, now, id)
    else
      -- The job is listed with its parent, not among the jobs.
      redis.call('HSET', key, 'parent', ARGV[9])
    end
    ids[i] = id
  end
  redis.call('HSET', KEYS[4], 'body', ARGV[4], 'jobs', table.concat(ids, ' '), 'attempts', ARGV[6], 'limit', ARGV[7], 'queue', queue)
  if model ~= '' then redis.call('HSET', KEYS[4], 'model', model) end
  if rows_of and next(rows_of) then redis.call('HSET', KEYS[4], 'rows_of', cjson.encode(rows_of)) end
  if shares ~= '' then redis.call('HSET', KEYS[4], 'shares', shares, 'target', ARGV[12]) end
  redis.call('EXPIRE', KEYS[4], math.ceil(ttl + longest))
  add_figures(ARGV[15], now, {[0] = jobs})
end
if jobs == 0 and ARGV[4] ~= '' then
  redis.call('HSET', KEYS[4], 'body', ARGV[4])
  redis.call('EXPIRE', KEYS[4], ttl)
end
local became = fate
if gate then
  became = table.concat({fate, unpack(enter(gate, fate, ARGV[16], ARGV[8], queue, ARGV[3], now, math.ceil(ttl + ARGV[18])))}, ' ')
end
-- A delivery in the backlog has its message there: it is not in the index until it is released.
if fate == 'admit' and place(queue, ARGV[8], ARGV[3], shares, ARGV[12]) and jobs > 0 then redis.call('ZADD', KEYS[5], now, ARGV[8]) end
return {'ok', position, now, tonumber(redis.call('HGET', KEYS[2], 'left') or 0), became, usages}
