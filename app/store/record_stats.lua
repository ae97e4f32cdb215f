-- Adds what an API process has counted.
-- ARGV: for each series: its name, how many lanes follow, and each lane with its amount
local time = redis.call('TIME')
local i = 1
while i <= #ARGV do
  local series, many, lanes = ARGV[i], tonumber(ARGV[i + 1]), {}
  for at = i + 2, i + 2 * many, 2 do lanes[tonumber(ARGV[at])] = tonumber(ARGV[at + 1]) end
  add_figures(series, time[1], lanes)
  i = i + 2 + 2 * many
end
