-- The usage of owners by UTC day. `scripts.py` puts this function before the scripts that call it. `app/store/metering.py` reads it.
-- A hash has the place of each series POOL/MODEL/OWNER, and a string has four numbers of 64 bits at each place:
-- jobs, rows, microseconds of run time, and cost in units of 1e-9.

-- Adds to a series of a day. If the day has `most` series, a new one counts with the others of its pool.
local function add_usage(day, pool, model, owner, most, keep, jobs, rows, seconds, price)
  local places, figures, series = keys.usage_places .. day, keys.usage_figures .. day, pool .. '/' .. model .. '/' .. owner
  -- A key of a wrong type must not keep the outcomes of jobs from being written.
  local place = redis.pcall('HGET', places, series)
  if type(place) == 'table' then return end
  local new = not place
  if new then
    place = redis.call('HLEN', places)
    if place == 0 then redis.call('DEL', figures) end
    if place >= tonumber(most) and model ~= '' then
      series = pool .. '/(other)/(other)'
      place = redis.call('HGET', places, series) or place
    end
    redis.call('HSET', places, series, place)
    redis.call('EXPIRE', places, keep)
  end
  local first, cost = 4 * place, 1e9 * seconds * (tonumber(price) or 0) / 3600
  local written = redis.pcall('BITFIELD', figures, 'OVERFLOW', 'SAT', 'INCRBY', 'i64', '#' .. first, jobs, 'INCRBY', 'i64', '#' .. first + 1, rows,
    'INCRBY', 'i64', '#' .. first + 2, string.format('%.0f', 1e6 * seconds), 'INCRBY', 'i64', '#' .. first + 3, string.format('%.0f', cost))
  if new and not written.err then redis.call('EXPIRE', figures, keep) end
end
