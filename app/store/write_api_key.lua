-- Creates, changes or deletes an API key, and notifies every API process.
-- KEYS: record, index of keys, admin keys
-- ARGV: mode (create, change, delete), id, revision that the caller has read, record, creation time, expiry of a usable admin key or '',
--       now, most keys, whether another admin key must remain (1 or 0),
--       entry of the audit log ('' for none), its digest, most entries, milliseconds to keep them
-- Returns ok with the ID of the entry and `prev`, or why nothing was written: exists, full, missing, changed, last.
local mode, id, revision, admin_until = ARGV[1], ARGV[2], ARGV[3], ARGV[6]
if mode == 'create' then
  if redis.call('EXISTS', KEYS[1]) == 1 then return {'exists'} end
  if redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[8]) then return {'full'} end
else
  local current = redis.call('HGET', KEYS[1], 'revision')
  if not current then return {'missing'} end
  if current ~= revision then return {'changed'} end
  if ARGV[9] == '1' and admin_until == '' then
    local usable = redis.call('ZRANGEBYSCORE', KEYS[3], '(' .. ARGV[7], '+inf', 'LIMIT', 0, 2)
    if #usable == 1 and usable[1] == id then return {'last'} end
  end
end
if mode == 'delete' then
  redis.call('DEL', KEYS[1])
  redis.call('ZREM', KEYS[2], id)
else
  redis.call('HSET', KEYS[1], 'record', ARGV[4], 'revision', tostring(tonumber(revision) + 1))
  redis.call('ZADD', KEYS[2], ARGV[5], id)
end
if admin_until == '' then
  redis.call('ZREM', KEYS[3], id)
else
  redis.call('ZADD', KEYS[3], admin_until, id)
end
redis.call('PUBLISH', keys.API_KEYS_CHANGED, id)
if ARGV[10] == '' then return {'ok'} end
return {'ok', unpack(audit('changes', ARGV[10], ARGV[11], ARGV[12], ARGV[13]))}
