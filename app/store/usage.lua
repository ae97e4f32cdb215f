-- What an owner has under way, and how long its work ran. `scripts.py` puts these functions before the scripts that call them.
-- What is under way is a set and not a number, so that adding or removing a job twice changes nothing. A job whose record expires leaves it by its score.

-- Counts a job as open until it ends, or until its record expires. bytes: those of its inputs that count, which its record remembers
local function open_job(owner, id, expires_at, bytes)
  redis.call('HSET', keys.job .. id, 'counted', bytes)
  if bytes > 0 then redis.call('HINCRBY', keys.OPEN_BYTES, owner, bytes) end
  redis.call('ZADD', keys.open_jobs .. owner, math.floor(expires_at), id)
end

-- Counts a job as open no longer. `counted` is the field of its record.
local function close_job(owner, id, counted)
  -- A set of a wrong type must not keep the end of the job from being written.
  if counted and redis.pcall('ZREM', keys.open_jobs .. owner, id) == 1 and tonumber(counted) > 0 then
    if redis.pcall('HINCRBY', keys.OPEN_BYTES, owner, -counted) == 0 then redis.call('HDEL', keys.OPEN_BYTES, owner) end
  end
end

-- Corrects whether a job or a batch is among the open ones of its owner. Returns 1 if it differed, else 0.
local function correct(open_ones, id, record, open, now)
  local expires_at = redis.call('ZSCORE', open_ones, id)
  if open and not expires_at then
    redis.call('ZADD', open_ones, math.floor(now + redis.call('PTTL', record) / 1000), id)
    return 1
  elseif expires_at and not open then
    redis.call('ZREM', open_ones, id)
    -- A record that expired before its job or batch ended is in order.
    if tonumber(expires_at) > tonumber(now) then return 1 end
  end
  return 0
end

-- Adds the milliseconds of a run to those of its owners on the UTC day of `now`, in proportion to their rows. rows_of: JSON, owner -> rows
local function add_run(rows_of, seconds, now)
  local rows, all, day = cjson.decode(rows_of), 0, keys.run_seconds .. math.floor(now / 86400)
  for _, count in pairs(rows) do all = all + count end
  for owner, count in pairs(rows) do
    local added = math.floor(1000 * math.max(0, seconds) * count / all + 0.5)
    -- A hash of a wrong type must not keep the outcomes of jobs from being written.
    if redis.pcall('HINCRBY', day, owner, added) == added then redis.call('EXPIRE', day, 172800) end
  end
end
