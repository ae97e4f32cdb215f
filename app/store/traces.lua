-- The spans of a job are made from its record after its end. `scripts.py` puts these functions before the scripts that call them.

-- Returns whether the trace of a job that ends is exported: it was sampled, or the job was slow, failed or expired. `trace` is the field of its record.
local function is_exported(trace, state, now)
  local slow, since = (trace or ''):match('^%S+ (%S+) %S+ (%S+)')
  if slow == 'always' then return true end
  return tonumber(slow) ~= nil and (state == 'failed' or state == 'expired' or now - since >= tonumber(slow))
end

-- Gives jobs that were in a delivery together to the API processes, which export their traces. The oldest are dropped if too many wait.
local function export_traces(delivery, jobs, ids, now)
  if #ids == 0 then return end
  -- An index of a wrong type must not keep the end of a job from being recorded: the quarantine repairs it.
  redis.pcall('ZADD', keys.TRACES, now, delivery .. ' ' .. jobs .. ' ' .. table.concat(ids, ' '))
  local many = redis.pcall('ZCARD', keys.TRACES)
  if type(many) == 'number' and many > 10000 then
    redis.call('ZPOPMIN', keys.TRACES, many - 10000)
    redis.pcall('HINCRBY', keys.TRACES_STATE, 'dropped', many - 10000)
  end
end
