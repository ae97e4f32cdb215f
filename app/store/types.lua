-- Keys that hold another type than they must are moved aside: nothing of ours could use them, and each command would fail.
-- KEYS: keys     ARGV: prefix of the new name, seconds to keep it, the type of each key
-- Returns [key, type found, ...]
local moved = {}
for i, key in ipairs(KEYS) do
  local found = redis.call('TYPE', key)['ok']
  if found ~= 'none' and found ~= ARGV[i + 2] then
    redis.call('RENAME', key, ARGV[1] .. key)
    redis.call('EXPIRE', ARGV[1] .. key, ARGV[2])
    moved[#moved + 1] = key
    moved[#moved + 1] = found
  end
end
return moved
