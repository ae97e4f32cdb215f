-- Reads the same part of several chunks. A pipeline of as many commands would cost the caller ten times as much.
-- KEYS: chunks     ARGV: first byte, last byte
-- Returns the parts; one is empty if the chunk is missing or has a wrong type
local parts = {}
for i, chunk in ipairs(KEYS) do
  local part = redis.pcall('GETRANGE', chunk, ARGV[1], ARGV[2])
  parts[i] = type(part) == 'string' and part or ''
end
return parts
