-- Changes something by plain commands, and writes the entry of the audit log. All of it or nothing.
-- ARGV: chain, entry, its digest, most entries, milliseconds to keep them, whether the first command must change something (1 or 0),
--       then each command: number of its parts, its parts
-- Returns what the first command returned, the ID of the entry and `prev`; or nil if that command changed nothing: then the others are left out.
local at, result = 7, 0
while at <= #ARGV do
  local size = tonumber(ARGV[at])
  local changed = redis.call(unpack(ARGV, at + 1, at + size))
  if at == 7 then
    if ARGV[6] == '1' and changed == 0 then return nil end
    result = changed
  end
  at = at + size + 1
end
return {result, unpack(audit(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]))}
