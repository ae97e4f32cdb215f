-- Describes what waits in a queue and runs from it, by a sample: a queue may be long, and its messages large.
-- KEYS: list, backlog, running deliveries     ARGV: most messages to look at in the list, and as many in the backlog; most running deliveries; a random number
-- Returns the lengths of the list and the backlog, the time of the oldest message of the list ('' if it is empty),
-- the headers `kwargsrepr` and `argsrepr` of messages of the list and of the backlog, and when running deliveries began, each with its model
local most, length, backlog = tonumber(ARGV[1]), redis.call('LLEN', KEYS[1]), redis.call('HLEN', KEYS[2])

-- A text of the headers, which follow the body.
local function header(message, name)
  local _, last = message:find('"' .. name .. '":"', 1, true)
  return last and message:match('^[^"]*', last + 1) or ''
end

local function headers(messages)
  local texts = {}
  for _, message in ipairs(messages) do
    texts[#texts + 1] = header(message, 'kwargsrepr')
    texts[#texts + 1] = header(message, 'argsrepr')
  end
  return texts
end

-- One message of each part of the list, at random: messages that arrive in turns must not meet a fixed distance.
local listed, oldest, parts = {}, '', math.min(most, length)
math.randomseed(ARGV[3])
for i = 1, parts do listed[i] = redis.call('LINDEX', KEYS[1], math.floor((i - 1 + math.random()) * length / parts)) end
if length > 0 then
  local message = redis.call('LINDEX', KEYS[1], -1)
  local _, last = message:find('"enqueued_at":', 1, true)
  oldest = last and message:match('^[%d.]+', last + 1) or ''
end
local behind = {}
if backlog > 0 then
  local entries = redis.call('HRANDFIELD', KEYS[2], most, 'WITHVALUES')
  for i = 2, #entries, 2 do behind[#behind + 1] = entries[i] end
end
local running = {}
for _, id in ipairs(redis.call('ZRANGE', KEYS[3], 0, ARGV[2] - 1)) do
  local delivery = redis.pcall('HMGET', keys.delivery .. id, 'began', 'model')
  if delivery[1] then
    running[#running + 1] = delivery[1]
    running[#running + 1] = delivery[2] or ''
  end
end
return {length, backlog, oldest, headers(listed), headers(behind), running}
