-- Concurrency keys. At most `limit` jobs of a key are admitted: they are in a queue, delayed for a retry, or run. The others are held back in the order
-- of their submission. `scripts.py` puts these functions before the scripts that call them. `name` is the key with the mark of its owner before it.

-- Ends a job that has no outcome.
local function close(id, state, now, keep, reason)
  local key = keys.job .. id
  local job = redis.call('HMGET', key, 'watched', 'webhook', 'parent', 'owner', 'counted', 'series', 'trace')
  redis.call('ZREM', keys.EXPIRING, id)
  close_job(job[4], id, job[5])
  redis.call('HSET', key, 'state', state, 'finished_at', now)
  if reason then redis.call('HSET', key, 'reason', reason) end
  redis.call('HINCRBY', key, 'revision', 1)
  redis.call('EXPIRE', key, keep)
  if job[6] then add_figures(job[6], now, {[ended[state]] = 1}) end
  if is_exported(job[7], state, now) then export_traces('-', 1, {id}, now) end
  if job[2] or redis.call('EXISTS', keys.WEBHOOKS) == 1 then
    redis.call('ZADD', keys.EVENTS, 'NX', now, id .. ' completed')
    redis.call('PUBLISH', keys.WEBHOOKS_DUE, 'due')
  end
  if job[3] then
    redis.call('ZADD', keys.RECONCILE, now, job[3])
    redis.call('PUBLISH', keys.RECONCILE_DUE, 'due')
  end
  if job[1] then redis.call('PUBLISH', keys.event .. id, 'changed') end
end

-- Removes the delivery of a job that is held back. Returns its message.
local function unhold(id, queue, delivery)
  local message = redis.call('HGET', keys.held_back .. queue, delivery)
  redis.call('HDEL', keys.held_back .. queue, delivery)
  redis.call('HDEL', keys.job .. id, 'held')
  return message
end

-- Admits the jobs of a key that are held back, while there are slots. Nothing remains of a key without jobs.
local function admit(name, now)
  local admitted, waiting, record = keys.admitted .. name, keys.waiting .. name, keys.concurrency .. name
  local state = redis.call('HMGET', record, 'limit', 'keep')
  local limit, keep = tonumber(state[1]) or 1, tonumber(state[2]) or 60
  for _ = 1, 1000 do
    if redis.call('ZCARD', admitted) >= limit then break end
    local id, place_of = unpack(redis.call('ZRANGE', waiting, 0, 0, 'WITHSCORES'))
    if not id then break end
    redis.call('ZREM', waiting, id)
    local key = keys.job .. id
    local job = redis.call('HMGET', key, 'state', 'held', 'queue', 'delivery', 'expires_at', 'watched')
    if job[1] == 'queued' and job[2] then
      local queue, delivery = job[3], job[4]
      local message = unhold(id, queue, delivery)
      if tonumber(job[5]) < tonumber(now) then
        redis.call('DEL', keys.delivery .. delivery)
        close(id, 'expired', now, keep)
      else
        redis.call('ZADD', admitted, place_of, id)
        redis.call('HSET', key, 'position', redis.call('HINCRBY', keys.counts .. queue, 'entered', 1))
        redis.call('HINCRBY', key, 'revision', 1)
        local share = redis.call('HMGET', keys.delivery .. delivery, 'shares', 'target')
        if not message then
          -- It is found as a lost delivery, which gets another message.
          redis.call('ZADD', keys.deliveries .. queue, 0, delivery)
        elseif place(queue, delivery, message, share[1] or '', share[2]) then
          redis.call('ZADD', keys.deliveries .. queue, now, delivery)
        end
        if job[6] then redis.call('PUBLISH', keys.event .. id, 'changed') end
      end
    end
  end
  if redis.call('ZCARD', admitted) == 0 and redis.call('ZCARD', waiting) == 0 then
    redis.call('DEL', record, admitted, waiting)
    redis.call('ZREM', keys.CONCURRENCY, name)
    redis.call('ZREM', keys.concurrency_of .. name:match('^%x+'), name)
  end
end

-- Gives back the slot of a job that has ended, or its place among those that are held back.
local function leave(id, name, now)
  -- A key of a wrong type must not keep the end of a job from being recorded: the sweep repairs it.
  pcall(function()
    redis.call('ZREM', keys.admitted .. name, id)
    redis.call('ZREM', keys.waiting .. name, id)
    local job = redis.call('HMGET', keys.job .. id, 'held', 'queue', 'delivery')
    if job[1] then
      unhold(id, job[2], job[3])
      redis.call('DEL', keys.delivery .. job[3])
    end
    admit(name, now)
  end)
end

-- Deletes keys of a wrong type, whose commands would all fail. Returns how many.
local function check_types(name)
  local deleted = 0
  for key, right in pairs({[keys.admitted .. name] = 'zset', [keys.waiting .. name] = 'zset', [keys.concurrency .. name] = 'hash'}) do
    local kind = redis.call('TYPE', key)['ok']
    if kind ~= 'none' and kind ~= right then deleted = deleted + redis.call('DEL', key) end
  end
  return deleted
end

-- Decides what becomes of a new job. It changes nothing.
-- Returns 'admit', 'wait' or 'cancel', or what the answer of `submit` is if the job is refused.
local function decide(gate, queue)
  local waiting = redis.call('ZCARD', keys.waiting .. gate.name)
  local jobs = redis.call('ZCARD', keys.admitted .. gate.name) + waiting
  if jobs == 0 and redis.call('ZCARD', keys.concurrency_of .. gate.name:match('^%x+')) >= gate.most_keys then return nil, {'keys', gate.most_keys} end
  if jobs < gate.limit or gate.on_full == 'cancel_running' then return 'admit' end
  if gate.on_full == 'refuse' then return nil, {'refused', redis.call('ZRANGE', keys.admitted .. gate.name, 0, 4)} end
  if gate.on_full == 'cancel_newest' then return 'cancel' end
  if waiting >= gate.most_waiting or redis.call('HLEN', keys.held_back .. queue) >= gate.most_held then return nil, {'waiting', waiting} end
  return 'wait'
end

-- Takes the slot of a new job whose record is written, or holds it back, or cancels it, as `decide` has returned.
-- Returns the deliveries of the running jobs that were cancelled to make room.
local function enter(gate, fate, id, delivery, queue, message, now, ttl)
  local name, interrupted = gate.name, {}
  local admitted, waiting, record = keys.admitted .. name, keys.waiting .. name, keys.concurrency .. name
  redis.call('HSET', keys.job .. id, 'concurrency', name)
  redis.call('HSET', record, 'limit', gate.limit, 'keep', gate.keep)
  redis.call('ZADD', keys.CONCURRENCY, 'NX', now, name)
  redis.call('ZADD', keys.concurrency_of .. name:match('^%x+'), now, name)
  local order = redis.call('HINCRBY', record, 'order', 1)
  if gate.on_full == 'cancel_running' then
    local oldest = redis.call('ZRANGE', admitted, 0, -1)
    for _, other in ipairs(redis.call('ZRANGE', waiting, 0, -1)) do oldest[#oldest + 1] = other end
    for i = 1, #oldest - gate.limit + 1 do
      local other = redis.call('HMGET', keys.job .. oldest[i], 'state', 'delivery', 'held', 'queue')
      redis.call('ZREM', admitted, oldest[i])
      redis.call('ZREM', waiting, oldest[i])
      if other[3] then
        unhold(oldest[i], other[4], other[2])
        redis.call('DEL', keys.delivery .. other[2])
      end
      if other[1] == 'queued' or other[1] == 'running' then close(oldest[i], 'cancelled', now, gate.keep, gate.replaced) end
      if other[1] == 'running' then interrupted[#interrupted + 1] = other[2] end
    end
  end
  if fate == 'cancel' then
    redis.call('DEL', keys.delivery .. delivery)
    close(id, 'cancelled', now, gate.keep, gate.reason)
  elseif fate == 'wait' then
    redis.call('ZADD', waiting, order, id)
    redis.call('HSET', keys.held_back .. queue, delivery, message)
    redis.call('HSET', keys.job .. id, 'held', 1)
  end
  -- A new job fits beside those that are held back only because the limit was lower.
  if fate == 'admit' then redis.call('ZADD', admitted, order, id) end
  admit(name, now)
  for _, key in ipairs({record, admitted, waiting, keys.concurrency_of .. name:match('^%x+')}) do
    if redis.call('TTL', key) < ttl then redis.call('EXPIRE', key, ttl) end
  end
  return interrupted
end
