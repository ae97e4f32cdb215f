-- Moves deliveries that have waited for too long to the end of the queue above theirs, the oldest first, while other work waits that goes first.
-- KEYS: list, deliveries that were moved to the queue above and have not started, the same of this queue
-- ARGV: name of the queue, of the queue above, seconds after which a delivery moves, the same for one without a record, seconds that such a one is kept,
--       most that were moved and have not started, target length of the queue above, seconds without a heartbeat after which a run is over,
--       then all queues that go before this one
-- Returns how many were moved.
local queue, above, age, most = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[6])
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local first = 0
for i = 9, #ARGV do first = first + redis.call('LLEN', keys.list_of .. ARGV[i]) + redis.call('HLEN', keys.backlog .. ARGV[i]) end
if first == 0 then return 0 end
local time = redis.call('TIME')
local stamp = time[1] .. string.format('.%06d', time[2])
local now = tonumber(stamp)
-- A command that frees memory comes first: then Redis accepts the others although it is full.
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', stamp)
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '+inf', '+inf')) do
  local delivery = keys.delivery .. id
  if redis.call('EXISTS', delivery) == 0 or redis.call('HEXISTS', delivery, 'started') == 1 then redis.call('ZREM', KEYS[2], id) end
end
local waiting = redis.call('ZCARD', KEYS[2])
-- Only those wait that were moved before: more of them would overtake each other, and take the turns of other owners.
if first <= waiting then return 0 end

-- Returns whether a delivery has waited for too long, and its jobs if it has a record.
local function due(id, enqueued_at)
  -- A broken connection returned the message, and the delivery still runs.
  if tonumber(redis.call('ZSCORE', keys.running .. queue, id) or 0) > now - tonumber(ARGV[8]) then return false end
  local jobs = redis.call('HGET', keys.delivery .. id, 'jobs')
  local from, limit = tonumber(enqueued_at), tonumber(ARGV[4])
  if jobs then
    local job = redis.pcall('HMGET', keys.job .. (jobs:match('%S+') or ''), 'moved_at', 'created_at', 'expires_at')
    from, limit = tonumber(job[1] or job[2]) or from, age
    if from and tonumber(job[3]) then limit = math.min(limit, (tonumber(job[3]) - from) / 2) end
  end
  return from and now - from > limit, jobs
end

local function move(id, message, jobs)
  local changed, count = message:gsub('("routing_key"%s*:%s*)"[^"]*"', function(name) return name .. '"' .. above .. '"' end)
  if count ~= 1 then return false end
  redis.call('LREM', KEYS[1], -1, message)
  redis.call('ZREM', KEYS[3], id)
  redis.call('ZADD', KEYS[2], jobs and '+inf' or now + tonumber(ARGV[5]), id)
  if not jobs then
    redis.call('LPUSH', keys.list_of .. above, changed)
    return true
  end
  -- The jobs of a delivery that was started before have left their queue already.
  local fresh = redis.call('HEXISTS', keys.delivery .. id, 'started') == 0
  for job in jobs:gmatch('%S+') do
    local record = redis.pcall('HMGET', keys.job .. job, 'state', 'delivery')
    local queued = record[1] == 'queued' and record[2] == id
    if queued then redis.call('HSET', keys.job .. job, 'queue', above, 'moved_at', stamp) end
    if fresh then
      redis.call('HINCRBY', keys.counts .. queue, 'left', 1)
      local position = redis.call('HINCRBY', keys.counts .. above, 'entered', 1)
      if queued then redis.call('HSET', keys.job .. job, 'position', position) end
    end
  end
  redis.call('HSET', keys.delivery .. id, 'queue', above)
  redis.call('ZREM', keys.deliveries .. queue, id)
  redis.call('ZREM', keys.running .. queue, id)
  local shares = redis.call('HGET', keys.delivery .. id, 'shares') or ''
  if place(above, id, changed, shares, ARGV[7]) then redis.call('ZADD', keys.deliveries .. above, stamp, id) end
  return true
end

local moved = 0
local oldest = redis.call('LRANGE', KEYS[1], -50, -1)
for at = #oldest, 1, -1 do
  if waiting + moved >= most then break end
  local valid, message = pcall(cjson.decode, oldest[at])
  local header = valid and type(message) == 'table' and type(message.headers) == 'table' and message.headers or {}
  if type(header.id) == 'string' then
    local late, jobs = due(header.id, header.enqueued_at)
    if late and move(header.id, oldest[at], jobs) then moved = moved + 1 end
  end
end
if moved > 0 then
  redis.call('EXPIRE', KEYS[2], 86400)
  release(queue)
end
return moved
