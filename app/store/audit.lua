-- A library: scripts that call `audit` get these functions, see `scripts.py`. Redis has SHA-1 only, which is not strong enough for a chain.
local band, bxor, bnot, ror, shr = bit.band, bit.bxor, bit.bnot, bit.ror, bit.rshift
-- FIPS 180-4, sections 4.2.2 and 5.3.3.
local rounds = '428a2f9871374491b5c0fbcfe9b5dba53956c25b59f111f1923f82a4ab1c5ed5d807aa9812835b01243185be550c7dc372be5d7480deb1fe9bdc06a7c19bf174' ..
  'e49b69c1efbe47860fc19dc6240ca1cc2de92c6f4a7484aa5cb0a9dc76f988da983e5152a831c66db00327c8bf597fc7c6e00bf3d5a7914706ca635114292967' ..
  '27b70a852e1b21384d2c6dfc53380d13650a7354766a0abb81c2c92e92722c85a2bfe8a1a81a664bc24b8b70c76c51a3d192e819d6990624f40e3585106aa070' ..
  '19a4c1161e376c082748774c34b0bcb5391c0cb34ed8aa4a5b9cca4f682e6ff3748f82ee78a5636f84c878148cc7020890befffaa4506cebbef9a3f7c67178f2'
local initial = '6a09e667bb67ae853c6ef372a54ff53a510e527f9b05688c1f83d9ab5be0cd19'
local function words(hex)
  local numbers = {}
  for eight in string.gmatch(hex, '........') do numbers[#numbers + 1] = tonumber(eight, 16) end
  return numbers
end
local function sha256(text)
  local k, h, w, size = words(rounds), words(initial), {}, #text
  text = text .. string.char(128) .. string.rep(string.char(0), (55 - size) % 64)
  for shift = 7, 0, -1 do text = text .. string.char(math.floor(size * 8 / 256 ^ shift) % 256) end
  for block = 1, #text, 64 do
    for i = 1, 16 do
      local b1, b2, b3, b4 = string.byte(text, block + 4 * i - 4, block + 4 * i - 1)
      w[i] = b1 * 16777216 + b2 * 65536 + b3 * 256 + b4
    end
    for i = 17, 64 do
      local x, y = w[i - 15], w[i - 2]
      w[i] = (w[i - 16] + bxor(ror(x, 7), ror(x, 18), shr(x, 3)) + w[i - 7] + bxor(ror(y, 17), ror(y, 19), shr(y, 10))) % 4294967296
    end
    local a, b, c, d, e, f, g, z = unpack(h)
    for i = 1, 64 do
      local first = z + bxor(ror(e, 6), ror(e, 11), ror(e, 25)) + bxor(band(e, f), band(bnot(e), g)) + k[i] + w[i]
      local second = bxor(ror(a, 2), ror(a, 13), ror(a, 22)) + bxor(band(a, b), band(a, c), band(b, c))
      z, g, f, e, d, c, b, a = g, f, e, (d + first) % 4294967296, c, b, a, (first + second) % 4294967296
    end
    for i, value in ipairs({a, b, c, d, e, f, g, z}) do h[i] = (h[i] + value) % 4294967296 end
  end
  for i = 1, 8 do h[i] = string.format('%04x%04x', math.floor(h[i] / 65536), h[i] % 65536) end
  return table.concat(h)
end
-- Adds an entry to the end of a chain. Returns its ID and `prev`.
-- `entry` is the text of the entry, `digest` the SHA-256 of that text, `chain` is changes or refusals.
local function audit(chain, entry, digest, most, keep_ms)
  local stream = chain == 'changes' and keys.AUDIT or keys.AUDIT_REFUSALS
  local head = redis.call('HMGET', keys.AUDIT_HEADS, 'last', chain)
  local time = redis.call('TIME')
  local now, sequence = time[1] * 1000 + math.floor(time[2] / 1000), 0
  local oldest = string.format('%.0f', math.max(now - keep_ms, 0))
  -- IDs grow over both chains, even if the clock goes back. So an ID is a place in both.
  local last, count = string.match(head[1] or '0-0', '(%d+)-(%d+)')
  if now <= tonumber(last) then now, sequence = tonumber(last), count + 1 end
  local id = string.format('%.0f-%.0f', now, sequence)
  local prev = string.match(head[2] or '', ' (%x+)') or ''
  redis.call('XADD', stream, 'MAXLEN', '~', most, id, 'prev', prev, 'entry', entry)
  redis.call('XTRIM', stream, 'MINID', '~', oldest)
  redis.call('HSET', keys.AUDIT_HEADS, 'last', id, chain, id .. ' ' .. sha256(id .. ' ' .. prev .. ' ' .. digest))
  if redis.call('EXISTS', keys.WEBHOOKS) == 1 then
    redis.call('ZADD', keys.EVENTS, now / 1000, 'audit:' .. id .. ' audit')
    redis.call('PUBLISH', keys.WEBHOOKS_DUE, 'due')
  end
  return {id, prev}
end
