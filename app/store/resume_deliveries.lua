-- Puts deliveries of a model that was resumed into their queues, the oldest first.
-- ARGV: model, most to move
-- Returns how many were moved, 0 if the model is paused.
local model = ARGV[1]
if redis.call('HEXISTS', keys.PAUSED_MODELS, model) == 1 then return 0 end
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
local ids = redis.call('ZRANGE', keys.paused_deliveries .. model, 0, ARGV[2] - 1)
for _, id in ipairs(ids) do
  redis.call('ZREM', keys.paused_deliveries .. model, id)
  local delivery = keys.delivery .. id
  local fields = redis.pcall('HMGET', delivery, 'queue', 'message', 'jobs', 'shares', 'target', 'started')
  local queue, message = fields[1], fields[2]
  if queue then
    redis.call('HDEL', delivery, 'message')
    for job in (fields[6] and '' or fields[3] or ''):gmatch('%S+') do
      local position = redis.call('HINCRBY', keys.counts .. queue, 'entered', 1)
      local record = redis.pcall('HMGET', keys.job .. job, 'state', 'delivery', 'watched')
      if record[1] == 'queued' and record[2] == id then
        redis.call('HSET', keys.job .. job, 'position', position)
        redis.call('HINCRBY', keys.job .. job, 'revision', 1)
        if record[3] then redis.call('PUBLISH', keys.event .. job, 'changed') end
      end
    end
    if not message then
      -- It is found as a lost delivery, which gets another message.
      redis.call('ZADD', keys.deliveries .. queue, 0, id)
    elseif place(queue, id, message, fields[4] or '', fields[5]) then
      redis.call('ZADD', keys.deliveries .. queue, now, id)
    end
  end
end
if redis.call('EXISTS', keys.paused_deliveries .. model) == 0 then redis.call('SREM', keys.WAITING_MODELS, model) end
return #ids
