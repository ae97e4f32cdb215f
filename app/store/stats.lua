-- The figures of series. `scripts.py` puts these functions before the scripts that call them. `app/core/stats.py` describes a bucket and reads it.
-- Lanes: 0 submitted, 1 to 4 succeeded, failed, cancelled, expired, 5 rows, 6 run time, 7 to 28 histogram of waits, 29 to 50 histogram of runs.
-- Counts have 32 bits; rows and the run time, in units of 0.1 ms, have 64.

local ended = {succeeded = 1, failed = 2, cancelled = 3, expired = 4}

local function add_lane(lanes, lane, amount) lanes[lane] = (lanes[lane] or 0) + amount end

-- Adds to the histogram that begins at the lane `first`. Bounds double from 0.5 ms.
local function observe(lanes, first, seconds)
  local _, power = math.frexp(seconds / 0.0005)
  add_lane(lanes, first + math.max(0, math.min(21, power)), 1)
end

-- Adds a job to `lanes`. wait and run: seconds, or nil if it did not run
local function tally(lanes, state, rows, wait, run)
  add_lane(lanes, ended[state], 1)
  if state == 'succeeded' then add_lane(lanes, 5, rows) end
  if wait and run then
    observe(lanes, 7, wait)
    observe(lanes, 29, run)
    -- The jobs of a delivery share the run.
    lanes[6] = math.floor(run * 1e4 + 0.5)
  end
end

-- Adds to buckets of a chunk. Its first 4 bytes count the writes, so that only the first one sets its end.
local function add_to(chunk, ttl, buckets, lanes)
  local command, at = {'BITFIELD', chunk, 'OVERFLOW', 'SAT', 'INCRBY', 'u32', 0, 1}, 8
  for lane, amount in pairs(lanes) do
    local kind, word = 'u32', lane
    if lane == 5 then kind = 'i64' elseif lane == 6 then kind, word = 'i64', 7 elseif lane > 6 then word = lane + 2 end
    for _, bucket in ipairs(buckets) do
      command[at + 1], command[at + 2], command[at + 3], command[at + 4] = 'INCRBY', kind, 32 * (1 + 53 * bucket + word), amount
      at = at + 4
    end
  end
  -- A chunk of a wrong type must not keep the outcomes of jobs from being written.
  local answer = redis.pcall(unpack(command))
  if answer[1] == 1 then redis.call('EXPIRE', chunk, ttl) end
end

-- Adds lanes to the minute, the half hour and the day of `now`. Nothing is counted for a job without a series.
local function add_figures(series, now, lanes)
  if not series or series == '' then return end
  local minute = math.floor(tonumber(now) / 60)
  local hour, day = math.floor(minute / 60), math.floor(minute / 1440)
  local within = minute % 60
  add_to(keys.stats_hour .. hour .. ':' .. series, 115200, {math.floor(within / 30), 2 + within}, lanes)
  add_to(keys.stats_days .. math.floor(day / 32) .. ':' .. series, 37411200, {day % 32}, lanes)
end
