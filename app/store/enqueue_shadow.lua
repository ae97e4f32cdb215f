-- Enqueues a prediction of a shadow, unless other work of the pool waits.
-- KEYS: queues of the pool, the last one is that of the message     ARGV: message
-- Returns 1, or 0 if it was dropped
for _, queue in ipairs(KEYS) do
  if redis.call('LLEN', queue) > 0 then return 0 end
end
redis.call('LPUSH', KEYS[#KEYS], ARGV[1])
return 1
