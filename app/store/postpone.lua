-- Returns a delivery that was started to the queue, because its inputs cannot be read now. The start does not count as an attempt.
-- KEYS: delivery, index of deliveries, delayed deliveries, running deliveries, counts     ARGV: id, seconds of delay, jobs that were started
-- Returns 1, or 0 if the delivery has ended.
redis.call('ZREM', KEYS[4], ARGV[1])
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
local waiting = 0
for i = 3, #ARGV do
  local key = keys.job .. ARGV[i]
  local job = redis.pcall('HMGET', key, 'state', 'delivery', 'watched', 'tries', 'ends')
  if job[1] == 'running' and job[2] == ARGV[1] then
    waiting = waiting + 1
    redis.call('HSET', key, 'state', 'queued', 'position', redis.call('HINCRBY', KEYS[5], 'entered', 1))
    redis.call('HINCRBY', key, 'attempt', -1)
    redis.call('HINCRBY', key, 'revision', 1)
    if #(job[5] or '') < 4096 then
      local _, run = (job[4] or ''):gsub('\n', '')
      redis.call('HSET', key, 'ends', (job[5] or '') .. run .. ' ' .. now .. '\n')
    end
    if job[3] then redis.call('PUBLISH', keys.event .. ARGV[i], 'changed') end
  end
end
-- Started again, all its jobs leave the queue: those that have ended were not in it, and their places are made up for.
local _, jobs = redis.call('HGET', KEYS[1], 'jobs'):gsub('%S+', '')
redis.call('HINCRBY', KEYS[5], 'entered', jobs - waiting)
redis.call('HDEL', KEYS[1], 'started', 'runner')
redis.call('ZADD', KEYS[3], string.format('%.3f', now + ARGV[2]), ARGV[1])
return 1
