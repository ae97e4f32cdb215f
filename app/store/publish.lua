-- Notes the versions in the model repository, and writes an entry of the audit log for each new one.
-- KEYS: noted versions     ARGV: now, most notes, most entries, milliseconds to keep them, then for each version: its name, entry, digest
-- Returns [number of the version, ID of its entry, `prev`, ...]. The first call of all notes what exists, and writes no entry.
local first = redis.call('EXISTS', KEYS[1]) == 0
-- A member that names none: an empty repository is noted, too.
if first then redis.call('ZADD', KEYS[1], ARGV[1], '') end
local written = {}
for i = 5, #ARGV, 3 do
  if redis.call('ZADD', KEYS[1], 'NX', ARGV[1], ARGV[i]) == 1 and not first then
    local id, prev = unpack(audit('changes', ARGV[i + 1], ARGV[i + 2], ARGV[3], ARGV[4]))
    for _, value in ipairs({(i - 5) / 3, id, prev}) do written[#written + 1] = value end
  end
end
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -tonumber(ARGV[2]) - 1)
return written
