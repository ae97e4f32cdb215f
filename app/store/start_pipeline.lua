-- Starts a pipeline run: writes its job and its plan, and makes it due, in one step.
-- KEYS: job, index of jobs, pipeline, parents to reconcile
-- ARGV: id, spec, seconds until it expires, ttl, its webhook ('' for none), plan, inputs, parent that it is (`pipeline:ID`), owner,
--       charge of the run for `rate_limits` ('' for none), its trace context ('' for none),
--       then for each part that it takes over: id of the part of another run, id of its own
-- Returns {'exists'}, {'limited', what the rate limits refuse}, or {'ok', what remains of the rate limits}.
local id, ttl = ARGV[1], ARGV[4]
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
if redis.call('EXISTS', KEYS[1]) == 1 then return {'exists'} end
local refused, usages, counted = rate_limits(ARGV[10], time)
if refused then return {'limited', refused} end
for i = 12, #ARGV, 2 do
  local part = redis.call('HGETALL', keys.job .. ARGV[i])
  -- It may have expired meanwhile: then the step runs again.
  if #part > 0 then
    local own = keys.job .. ARGV[i + 1]
    redis.call('HSET', own, unpack(part))
    redis.call('HSET', own, 'parent', ARGV[8], 'owner', ARGV[9])
    redis.call('HDEL', own, 'trace')
    redis.call('EXPIRE', own, ttl)
  end
end
-- The run is its own parent, so that every change of its state makes it due.
redis.call('HSET', KEYS[1], 'state', 'running', 'attempt', 1, 'spec', ARGV[2], 'created_at', now, 'started_at', now,
  'expires_at', string.format('%.3f', now + ARGV[3]), 'position', 0, 'queue', '', 'delivery', '', 'revision', 1, 'parent', ARGV[8], 'owner', ARGV[9])
if ARGV[5] ~= '' then redis.call('HSET', KEYS[1], 'webhook', ARGV[5]) end
if ARGV[11] ~= '' then redis.call('HSET', KEYS[1], 'trace', ARGV[11]) end
if counted and counted[1] then open_job(ARGV[9], id, now + ttl, counted[1]) end
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('ZADD', KEYS[2], now, id)
redis.call('ZADD', keys.jobs_of .. ARGV[9], now, id)
redis.call('ZADD', keys.OWNERS, now, ARGV[9])
redis.call('HSET', KEYS[3], 'plan', ARGV[6], 'inputs', ARGV[7])
redis.call('EXPIRE', KEYS[3], ttl)
if ARGV[5] ~= '' or redis.call('EXISTS', keys.WEBHOOKS) == 1 then
  redis.call('ZADD', keys.EVENTS, 'NX', now, id .. ' start')
  redis.call('PUBLISH', keys.WEBHOOKS_DUE, 'due')
end
redis.call('ZADD', KEYS[4], now, ARGV[8])
redis.call('PUBLISH', keys.RECONCILE_DUE, 'due')
return {'ok', usages}
