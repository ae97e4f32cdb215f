-- Records the version that workers serve for an alias, and writes the entry of the audit log.
-- KEYS: served versions, those before     ARGV: alias, version, entry ('' for none), its digest, most entries, milliseconds to keep them
-- Returns the ID of the entry and `prev`, or nil. Several workers may serve the version at once; one of them writes the entry.
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before == ARGV[2] then return nil end
if before then redis.call('HSET', KEYS[2], ARGV[1], before) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('HINCRBY', keys.TABLES, 'revision', 1)
redis.call('PUBLISH', keys.TABLES_CHANGED, 'changed')
if ARGV[3] == '' then return nil end
return audit('changes', ARGV[3], ARGV[4], ARGV[5], ARGV[6])
