-- Moves jobs of a delivery to new deliveries, to be retried at once or after a delay.
-- KEYS: delivery that had them, index of deliveries, delayed deliveries, counts
-- ARGV: ttl, '1' if the attempt does not count (the jobs did not run alone), name of the queue,
--       then for each new delivery of one job: id, body, message, seconds of delay, job, attempt that failed
-- Returns how many jobs were moved.
local ttl = ARGV[1]
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
local old = redis.call('HMGET', KEYS[1], 'attempts', 'limit', 'queue', 'shares', 'target', 'jobs', 'model', 'rows_of')
-- HDEL is allowed although Redis is full, and then the other commands are too.
redis.call('HDEL', KEYS[1], '')
-- A job costs its owner an average part of the delivery.
local cost = 0
if old[4] then
  local _, jobs = old[6]:gsub('%S+', '')
  for _, share in ipairs(cjson.decode(old[4])) do cost = cost + share[2] / jobs end
end
local taken = 0
for i = 4, #ARGV, 6 do
  local id, body, message, wait, job, attempt = ARGV[i], ARGV[i + 1], ARGV[i + 2], tonumber(ARGV[i + 3]), ARGV[i + 4], ARGV[i + 5]
  local key, delivery = keys.job .. job, keys.delivery .. id
  local record = redis.pcall('HMGET', key, 'state', 'attempt', 'watched', 'owner', 'tries', 'ends')
  if old[1] and record[1] == 'running' and record[2] == attempt then
    redis.call('HSET', delivery, 'body', body, 'jobs', job, 'attempts', old[1], 'limit', old[2], 'queue', old[3])
    if old[7] then redis.call('HSET', delivery, 'model', old[7]) end
    if old[8] and record[4] then redis.call('HSET', delivery, 'rows_of', cjson.encode({[record[4]] = 1})) end
    local shares = ''
    if old[4] then
      shares = cjson.encode({{record[4] or '', cost}})
      redis.call('HSET', delivery, 'shares', shares, 'target', old[5])
    end
    redis.call('EXPIRE', delivery, ttl)
    redis.call('HSET', key, 'state', 'queued', 'delivery', id, 'position', redis.call('HINCRBY', KEYS[4], 'entered', 1))
    if ARGV[2] == '1' then redis.call('HINCRBY', key, 'attempt', -1) end
    redis.call('HINCRBY', key, 'revision', 1)
    if #(record[6] or '') < 4096 then
      -- When the run ended, which `tries` does not say.
      local _, run = (record[5] or ''):gsub('\n', '')
      redis.call('HSET', key, 'ends', (record[6] or '') .. run .. ' ' .. now .. '\n')
    end
    if wait > 0 then
      redis.call('ZADD', KEYS[3], string.format('%.3f', now + wait), id)
    elseif place(ARGV[3], id, message, shares, old[5]) then
      redis.call('ZADD', KEYS[2], now, id)
    end
    if record[3] then redis.call('PUBLISH', keys.event .. job, 'changed') end
    taken = taken + 1
  end
end
return taken
