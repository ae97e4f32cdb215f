-- Records when API keys were used. One that was deleted meanwhile is left out.
-- ARGV: id, time, …
for at = 1, #ARGV, 2 do
  local record = keys.api_key .. ARGV[at]
  if redis.call('EXISTS', record) == 1 then
    redis.call('HSET', record, 'last_used_at', ARGV[at + 1])
  end
end
