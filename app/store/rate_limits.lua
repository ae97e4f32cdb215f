-- Rate limits by the generic cell rate algorithm (GCRA). `scripts.py` puts this function before the scripts that call it.
-- The key of a limit holds its theoretical arrival time: when the whole quota is available, in microseconds.
-- charges: JSON, for each job a list of [name of the limit's key, cost, quota, window in seconds]; '' for no limits
-- Returns what the limits refuse {place of the job, place of its limit, remaining, microseconds to wait, ...}. Then nothing is charged.
-- Otherwise returns nil, and what remains {remaining, microseconds until the quota is complete, ...} of each limit of each job.
local function rate_limits(charges, time)
  if charges == '' then return end
  local now, refused, usages, arrivals = time[1] * 1000000 + time[2], {}, {}, {}
  for place, limits in ipairs(cjson.decode(charges)) do
    local wait, worst, remaining = 0, 0, 0
    for index, limit in ipairs(limits) do
      local key, cost, quota, window = keys.rate_limit .. limit[1], limit[2], limit[3], limit[4] * 1000000
      arrivals[key] = arrivals[key] or math.max(now, tonumber(redis.call('GET', key)) or 0)
      local used = arrivals[key] - now
      local excess = used + cost * window / quota - window
      -- More than a microsecond: stored times are rounded.
      if excess > 1 and excess > wait then
        wait, worst, remaining = excess, index, math.floor(math.max(0, window - used) * quota / window + 0.005)
      end
    end
    if worst > 0 then
      for _, value in ipairs({place - 1, worst - 1, remaining, math.ceil(wait)}) do refused[#refused + 1] = value end
    else
      for _, limit in ipairs(limits) do
        local key, cost, quota, window = keys.rate_limit .. limit[1], limit[2], limit[3], limit[4] * 1000000
        arrivals[key] = arrivals[key] + cost * window / quota
        usages[#usages + 1] = math.floor(math.max(0, window - (arrivals[key] - now)) * quota / window + 0.005)
        usages[#usages + 1] = math.ceil(arrivals[key] - now)
      end
    end
  end
  if #refused > 0 then return refused end
  for key, arrival in pairs(arrivals) do
    if arrival > now then redis.call('SET', key, string.format('%.2f', arrival), 'PX', math.ceil((arrival - now) / 1000)) end
  end
  return nil, usages
end
