-- Deliveries of paused models wait outside of their queues until the model is resumed. `scripts.py` puts these functions before the scripts that call them.

-- Returns the model of a delivery if it is paused, else nil.
local function paused_model(id)
  if redis.call('EXISTS', keys.PAUSED_MODELS) == 0 then return nil end
  local model = redis.call('HGET', keys.delivery .. id, 'model')
  return model and redis.call('HEXISTS', keys.PAUSED_MODELS, model) == 1 and model or nil
end

-- Keeps a message if the model of its delivery is paused. Returns whether it is.
local function keep_paused(queue, id, message)
  local model, delivery = paused_model(id), keys.delivery .. id
  if not model then return false end
  redis.call('ZREM', keys.moved .. queue, id)
  redis.call('HSET', delivery, 'message', message)
  redis.call('SADD', keys.WAITING_MODELS, model)
  -- The ids begin with the time of creation, so that equal scores keep the order of submission.
  local added = redis.call('ZADD', keys.paused_deliveries .. model, 0, id)
  -- The jobs of a delivery that was started before have left their queue already.
  if added == 1 and redis.call('HEXISTS', delivery, 'started') == 0 then
    local _, count = redis.call('HGET', delivery, 'jobs'):gsub('%S+', '')
    redis.call('HINCRBY', keys.counts .. queue, 'left', count)
  end
  return true
end
