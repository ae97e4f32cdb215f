-- The backlog of a queue: deliveries that wait until it is the turn of their owner. `scripts.py` puts these functions before the scripts that call them.
-- Owners take turns by virtual time. A delivery begins at the later of the clock and the end of its owner's delivery before, and lasts as long as its cost:
-- rows by the owner's weight. The earliest begin is released next, and the clock is the begin of the last one released.

-- Moves a delivery from the backlog to its queue. Returns whether it is there.
local function forward(queue, id)
  local message = redis.call('HGET', keys.backlog .. queue, id)
  if not message then return false end
  redis.call('HDEL', keys.backlog .. queue, id)
  if keep_paused(queue, id, message) then return false end
  if redis.call('EXISTS', keys.delivery .. id) == 1 then
    local time = redis.call('TIME')
    redis.call('ZADD', keys.deliveries .. queue, time[1] .. string.format('.%06d', time[2]), id)
  end
  -- No worker could read it. If it has a record, it is found as a lost delivery.
  if message:sub(1, 1) ~= '{' then return false end
  redis.call('LPUSH', keys.list_of .. queue, message)
  return true
end

-- Releases deliveries from the backlog until the queue has its target length.
-- Returns how many were released.
local function release(queue)
  local turns, fairness = keys.turns .. queue, keys.fairness .. queue
  if redis.call('EXISTS', turns) == 0 then return 0 end
  local clock, released = nil, 0
  local free = (tonumber(redis.call('HGET', fairness, 'target')) or 1) - redis.call('LLEN', keys.list_of .. queue)
  for _ = 1, 100 do
    local owner, begin
    if released < free then owner, begin = unpack(redis.call('ZRANGE', turns, 0, 0, 'WITHSCORES')) end
    if not owner then break end
    local own = keys.backlog_of .. queue .. ':' .. owner
    -- A list of a wrong type must not stop the queue: the sweep finds its deliveries.
    local entry = redis.pcall('LPOP', own)
    entry = type(entry) == 'string' and entry or nil
    local following = entry and redis.call('LINDEX', own, 0)
    if following then
      local score = following:match('^%S+')
      redis.call('ZADD', turns, tonumber(score) and score or begin, owner)
    else
      redis.call('ZREM', turns, owner)
    end
    local id = entry and entry:match('%S+$')
    if id and forward(queue, id) then released = released + 1 end
    clock = begin
  end
  if redis.call('EXISTS', turns) == 0 then
    redis.call('DEL', fairness, keys.charged .. queue)
  elseif clock then
    redis.call('HSET', fairness, 'clock', clock, 'ahead', 0)
    redis.call('ZREMRANGEBYSCORE', keys.charged .. queue, '-inf', '(' .. clock)
  end
  return released
end

-- Puts a message into its queue, or into the backlog if the queue has its target length. That of a paused model is kept until the model is resumed.
-- shares: JSON, [owner, cost] for each owner of the delivery; '' for a delivery that never waits in the backlog
-- Returns whether the message is in the queue.
local function place(queue, id, message, shares, target)
  if keep_paused(queue, id, message) then return false end
  local list, backlog = keys.list_of .. queue, keys.backlog .. queue
  local waiting = shares ~= '' and redis.call('HLEN', backlog) or 0
  if shares == '' or (waiting == 0 and redis.call('LLEN', list) < tonumber(target)) then
    redis.call('LPUSH', list, message)
    return true
  end
  -- It waits already.
  if redis.call('HSETNX', backlog, id, message) == 0 then return false end
  local fairness, charged, turns = keys.fairness .. queue, keys.charged .. queue, keys.turns .. queue
  redis.call('HSET', fairness, 'target', target)
  local state = redis.call('HMGET', fairness, 'clock', 'ahead')
  local clock, ahead = tonumber(state[1]) or 0, tonumber(state[2]) or 0
  local first, begin
  for _, share in ipairs(cjson.decode(shares)) do
    local owner = share[1]
    local at = math.max(clock, tonumber(redis.call('ZSCORE', charged, owner)) or 0)
    redis.call('ZADD', charged, string.format('%.17g', at + share[2]), owner)
    if not begin or at < begin then first, begin = owner, at end
  end
  -- An owner that owes nothing goes to the front of the queue, so that it waits for one process to be free. The others wait for ten of these at most.
  if waiting > 0 and begin <= clock and ahead < 10 and redis.call('LLEN', list) <= tonumber(target) and not redis.call('ZSCORE', turns, first) then
    redis.call('HDEL', backlog, id)
    redis.call('HSET', fairness, 'ahead', ahead + 1)
    redis.call('RPUSH', list, message)
    return true
  end
  local own, score = keys.backlog_of .. queue .. ':' .. first, string.format('%.17g', begin)
  -- A list without a turn is left from a fault.
  if redis.call('ZADD', turns, 'NX', score, first) == 1 then redis.call('DEL', own) end
  redis.call('RPUSH', own, score .. ' ' .. id)
  release(queue)
  return redis.call('HEXISTS', backlog, id) == 0
end
