-- Charges the rate limits of a request that does not enter a queue.
-- ARGV: charges for `rate_limits`
-- Returns {'limited', what the rate limits refuse} or {'ok', what remains of them}
local refused, usages = rate_limits(ARGV[1], redis.call('TIME'))
if refused then return {'limited', refused} end
return {'ok', usages}
