-- Makes a parent that was reconciled due after a while, or removes it. If one of its jobs ended meanwhile, it stays due.
-- KEYS: parents to reconcile     ARGV: parent, seconds until the next look ('' for none)
local time = redis.call('TIME')
local now = tonumber(time[1] .. string.format('.%06d', time[2]))
local due = tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or 0)
if due <= now then return end
redis.call('ZREM', KEYS[1], ARGV[1])
if ARGV[2] ~= '' then redis.call('ZADD', KEYS[1], string.format('%.6f', now + ARGV[2]), ARGV[1]) end
