-- The figures of series. `scripts.py` puts these functions before the scripts that call them. `app/core/stats.py` describes a bucket and reads it.
-- Lanes: 0 submitted, 1 to 4 succeeded, failed, cancelled, expired, 5 rows, 6 run time, 7 to 28 histogram of waits, 29 to 50 histogram of runs.
-- Counts have 32 bits; rows and the run time, in units of 0.1 ms, have 64.

local ended = {succeeded = 1, failed = 2, cancelled = 3, expired = 4}

-- Adds the job to `lanes`. wait and run: seconds, or nil if it did not run
local function tally(lanes, state, rows, wait, run)
  local function add(lane, amount) lanes[lane] = (lanes[lane] or 0) + amount end
  local function observe(first, seconds)
    local at, bound = 0, 0.0005
    while at < 21 and seconds > bound do at, bound = at + 1, bound * 2 end
    add(first + at, 1)
  end
  add(ended[state], 1)
  if state == 'succeeded' then add(5, rows) end
  if wait and run then
    observe(7, wait)
    observe(29, run)
  end
end

-- Adds to buckets of a chunk. Its first 4 bytes count the writes, so that only the first one sets its end.
local function add_to(chunk, ttl, buckets, lanes)
  local command = {'BITFIELD', chunk, 'OVERFLOW', 'SAT', 'INCRBY', 'u32', 0, 1}
  for _, bucket in ipairs(buckets) do
    for lane, amount in pairs(lanes) do
      local wide = lane == 5 or lane == 6
      local word = lane <= 5 and lane or lane == 6 and 7 or lane + 2
      for _, part in ipairs({'INCRBY', wide and 'i64' or 'u32', 32 * (1 + 53 * bucket + word), string.format('%.0f', amount)}) do
        command[#command + 1] = part
      end
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
  add_to(keys.stats_hour .. string.format('%d', hour) .. ':' .. series, 115200, {math.floor(within / 30), 2 + within}, lanes)
  add_to(keys.stats_days .. string.format('%d', math.floor(day / 32)) .. ':' .. series, 37411200, {day % 32}, lanes)
end
