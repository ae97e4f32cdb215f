-- Adds what an API process has measured to the usage of today.
-- ARGV: most series of a day, seconds to keep, then for each series: pool, model, owner, jobs, rows, seconds, price of an hour ('' for none)
local day = math.floor(redis.call('TIME')[1] / 86400)
for i = 3, #ARGV, 7 do
  add_usage(day, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[1], ARGV[2], ARGV[i + 3], ARGV[i + 4], tonumber(ARGV[i + 5]), ARGV[i + 6])
end
