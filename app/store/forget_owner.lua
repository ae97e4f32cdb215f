-- Forgets an owner who has created nothing for so long that no record can be left.
-- KEYS: owners, then the indexes of the owner     ARGV: owner, time of the last creation up to which the owner is forgotten
-- Returns 1, or 0 if the owner stays.
local last = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not last or tonumber(last) > tonumber(ARGV[2]) then return 0 end
for i = 2, #KEYS do redis.call('DEL', KEYS[i]) end
redis.call('ZREM', KEYS[1], ARGV[1])
return 1
