-- Renames keys that hold a wrong type: nothing could use them, and every command on them would fail.
-- KEYS: keys     ARGV: prefix of the new name, seconds to keep it, the type of each key
-- Returns [key, type found, ...]
local moved = {}
for i, key in ipairs(KEYS) do
  local kind = redis.call('TYPE', key)['ok']
  if kind ~= 'none' and kind ~= ARGV[i + 2] then
    redis.call('RENAME', key, ARGV[1] .. key)
    redis.call('EXPIRE', ARGV[1] .. key, ARGV[2])
    moved[#moved + 1] = key
    moved[#moved + 1] = kind
  end
end
return moved
