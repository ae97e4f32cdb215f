-- Expires jobs of paused deliveries whose deadline has passed, and removes deliveries whose jobs have all ended.
-- ARGV: model, seconds to keep the record of a job that expires, then the ids of deliveries
local time = redis.call('TIME')
local now = time[1] .. string.format('.%06d', time[2])
for i = 3, #ARGV do
  local id, waiting = ARGV[i], false
  local jobs = redis.pcall('HGET', keys.delivery .. id, 'jobs')
  for job in (type(jobs) == 'string' and jobs or ''):gmatch('%S+') do
    local record = redis.pcall('HMGET', keys.job .. job, 'state', 'delivery', 'expires_at', 'concurrency')
    if record[2] == id and record[1] == 'queued' and tonumber(record[3]) < tonumber(now) then
      close(job, 'expired', now, ARGV[2])
      if record[4] then leave(job, record[4], now) end
    elseif record[2] == id and (record[1] == 'queued' or record[1] == 'running') then
      waiting = true
    end
  end
  if not waiting and redis.call('ZREM', keys.paused_deliveries .. ARGV[1], id) == 1 then redis.call('DEL', keys.delivery .. id) end
end
