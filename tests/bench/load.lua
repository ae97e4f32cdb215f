-- What wrk sends, and what it learns. The plan is a Lua file that `load.py` writes:
--   kind      'single': a request is done with its answer. 'job': POST, then GETs until the job has ended. 'open': as 'single', at a fixed rate
--   path, headers, bodies, labels (what must be answered to each body, as text)
--   pick      a pattern whose capture is the answer in a body      location  a pattern for the job's address in the answer to a POST
--   query     added to the address      pause  milliseconds between polls      ended  a pattern that an ended job's body has
--   rate      requests a second of one thread, where kind is 'open'
-- 'job' and 'open' need one connection a thread: only then does a script know which answer belongs to which request.
local ffi = require('ffi')
ffi.cdef [[ typedef struct { long s; long ns; } when_t; int clock_gettime(int id, when_t *out); ]]
local clock = ffi.new('when_t')
local function now()
  ffi.C.clock_gettime(1, clock)
  return tonumber(clock.s) + tonumber(clock.ns) * 1e-9
end

local threads = {}
local plan, requests, step, began, polled
function setup(thread)
  thread:set('number', #threads)
  table.insert(threads, thread)
end

function init(args)
  plan = dofile(args[1])
  requests, at, step, wrong, count, took = {}, number * 7, 'post', 0, 0, {}
  for i, body in ipairs(plan.bodies) do requests[i] = wrk.format('POST', plan.path, plan.headers, body) end
  if plan.kind == 'single' then response = nil end
  if plan.kind == 'open' then due = now() + math.random() / plan.rate end
end

local function post()
  at = at % #requests + 1
  return requests[at]
end

local function learned(body, since)
  count = count + 1
  took[count] = math.floor((now() - since) * 1e6)
  if body:match(plan.pick) ~= plan.labels[at] then wrong = wrong + 1 end
end

function request()
  if plan.kind == 'single' then return post() end
  if plan.kind == 'open' then
    -- Late by the fault of the server, it counts from when it was due; early or on time, from now.
    if not waited then began = due else began = now() end
    due = due + 1 / plan.rate
    return post()
  end
  if step == 'post' then
    began = now()
    return post()
  end
  return wrk.format('GET', address)
end

function delay()
  if plan.kind == 'open' then
    local left = due - now()
    waited = left > 0
    return waited and math.ceil(left * 1000) or 0
  end
  return step == 'get' and plan.pause or 0
end

function response(status, headers, body)
  if plan.kind == 'open' then return learned(status == 200 and body or '', began) end
  if step == 'post' then
    if status ~= 202 then wrong = wrong + 1 return end
    local id = body:match(plan.location)
    address, step = plan.address .. id .. plan.query, 'get'
  elseif body:match(plan.ended) then
    step = 'post'
    learned(body, began)
  end
end

function done(summary, latency, _)
  local all, wrongs, n = {}, 0, 0
  for _, thread in ipairs(threads) do
    for _, one in ipairs(thread:get('took') or {}) do n = n + 1 all[n] = one end
    wrongs = wrongs + (thread:get('wrong') or 0)
  end
  table.sort(all)
  local count, percentile = summary.requests, function(p) return latency:percentile(p) end
  if n > 0 then count, percentile = n, function(p) return all[math.max(1, math.ceil(n * p / 100))] end end
  local e = summary.errors
  io.write(string.format('\nRESULT {"count": %d, "seconds": %.6f, "p50_ms": %.4f, "p90_ms": %.4f, "p99_ms": %.4f, "max_ms": %.4f, "failed": %d, "wrong": %d}\n',
    count, summary.duration / 1e6, percentile(50) / 1000, percentile(90) / 1000, percentile(99) / 1000, (n > 0 and all[n] or latency.max) / 1000,
    e.connect + e.read + e.write + e.status + e.timeout, wrongs))
end
