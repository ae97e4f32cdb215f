-- Rate limits by the generic cell rate algorithm (GCRA). `scripts.py` puts this function before the scripts that call it.
-- The key of a limit holds its theoretical arrival time: when the whole quota is available, in microseconds.
-- charges: JSON, for each job a list of [name of the limit's key, cost, quota, window in seconds]; '' for no limits
--          Three kinds of limits have no window. With 0 for most they are counted and not limited:
--          [owner, 1, most, 0] of the jobs that an owner has open, [owner, rows, most, -1] of the seconds that its work has run today,
--          and [owner, bytes, most, -2] of the inputs of its open jobs.
-- Returns what the limits refuse {place of the job, place of its limit, remaining, microseconds to wait, ...}. Then nothing is charged.
-- Otherwise returns nil, what remains {remaining, microseconds until the quota is complete, ...} of each limit of each job, a table of the places
-- (from 1) of the jobs that count as open with the bytes of their inputs that count, and a table of the owners whose run seconds count, with their rows.
local function rate_limits(charges, time)
  if charges == '' then return end
  local now, refused, usages, arrivals, open, counted, ran, held, rows_of = time[1] * 1000000 + time[2], {}, {}, {}, {}, {}, {}, {}, {}
  local midnight = 86400000000 - now % 86400000000
  for place, limits in ipairs(cjson.decode(charges)) do
    local wait, worst, remaining = 0, 0, 0
    for index, limit in ipairs(limits) do
      local key, cost, quota, window = keys.rate_limit .. limit[1], limit[2], limit[3], limit[4] * 1000000
      if window == 0 then
        open[limit[1]] = open[limit[1]] or redis.call('ZCOUNT', keys.open_jobs .. limit[1], time[1], '+inf')
        if quota > 0 and worst == 0 and open[limit[1]] + cost > quota then worst, remaining = index, quota - open[limit[1]] end
      elseif limit[4] == -2 then
        local owner = limit[1]
        held[owner] = held[owner] or tonumber(redis.call('HGET', keys.OPEN_BYTES, owner)) or 0
        if quota > 0 and worst == 0 and held[owner] + cost > quota then worst, remaining = index, quota - held[owner] end
      elseif window < 0 then
        local owner = limit[1]
        if quota > 0 and not ran[owner] then ran[owner] = tonumber(redis.call('HGET', keys.run_seconds .. math.floor(time[1] / 86400), owner)) or 0 end
        if quota > 0 and ran[owner] >= 1000 * quota and midnight > wait then
          wait, worst, remaining = midnight, index, quota - math.floor(ran[owner] / 1000)
        end
      else
        arrivals[key] = arrivals[key] or math.max(now, tonumber(redis.call('GET', key)) or 0)
        local used = arrivals[key] - now
        local excess = used + cost * window / quota - window
        -- More than a microsecond: stored times are rounded.
        if excess > 1 and excess > wait then
          wait, worst, remaining = excess, index, math.floor(math.max(0, window - used) * quota / window + 0.005)
        end
      end
    end
    if worst > 0 then
      for _, value in ipairs({place - 1, worst - 1, remaining, math.ceil(wait)}) do refused[#refused + 1] = value end
    else
      for _, limit in ipairs(limits) do
        local key, cost, quota, window = keys.rate_limit .. limit[1], limit[2], limit[3], limit[4] * 1000000
        if window == 0 then
          open[limit[1]], counted[place] = open[limit[1]] + cost, counted[place] or 0
          usages[#usages + 1] = quota - open[limit[1]]
          usages[#usages + 1] = 0
        elseif limit[4] == -2 then
          held[limit[1]], counted[place] = held[limit[1]] + cost, cost
          usages[#usages + 1] = quota - held[limit[1]]
          usages[#usages + 1] = 0
        elseif window < 0 then
          rows_of[limit[1]] = (rows_of[limit[1]] or 0) + cost
          usages[#usages + 1] = quota - math.floor((ran[limit[1]] or 0) / 1000)
          usages[#usages + 1] = midnight
        else
          arrivals[key] = arrivals[key] + cost * window / quota
          usages[#usages + 1] = math.floor(math.max(0, window - (arrivals[key] - now)) * quota / window + 0.005)
          usages[#usages + 1] = math.ceil(arrivals[key] - now)
        end
      end
    end
  end
  if #refused > 0 then return refused end
  for key, arrival in pairs(arrivals) do
    if arrival > now then redis.call('SET', key, string.format('%.2f', arrival), 'PX', math.ceil((arrival - now) / 1000)) end
  end
  return nil, usages, counted, rows_of
end
