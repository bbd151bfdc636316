#!lua flags=no-writes,allow-stale
-- Looks at the places of all jobs of some queues at one instant.
-- ARGV[1]: { queues: [name] }
-- Returns one JSON object: { now, queues: { name: { accepted, completed, ..., waiting, active, delayed, gated, dead, streams: {
--   letter: { length, pending, delivered } }, sides: [type], oldest: instant (ms) of acceptance of the oldest waiting job or 0 } } }
--#prelude
local a = cjson.decode(ARGV[1])
local out = {}
for _, q in ipairs(a.queues) do
  local b = base(q)
  local r = { streams = {}, sides = {}, oldest = 0, waiting = 0, active = 0 }
  local n = call('HGETALL', b .. ':n')
  for j = 1, #n, 2 do r[n[j]] = tonumber(n[j + 1]) end
  for _, letter in ipairs(lettersOf(q)) do
    if sub(letter, 1, 1) == 't' then r.sides[#r.sides + 1] = sub(letter, 2) end
    local key = stream(q, letter)
    local length, pending, delivered = call('XLEN', key), 0, '0-0'
    local groups = pcall_('XINFO', 'GROUPS', key)
    if not groups.err then
      for _, g in ipairs(groups) do
        if g[2] == GROUP then pending, delivered = g[6], g[8] end
      end
    end
    r.streams[letter] = { length = length, pending = pending, delivered = delivered }
    r.active = r.active + pending
    r.waiting = r.waiting + length - pending
    if length > pending then
      local first = call('XRANGE', key, '(' .. delivered, '+', 'COUNT', 1)[1]
      if first then
        local ms = options(first[2][4]).at or idMs(first[1])
        if r.oldest == 0 or ms < r.oldest then r.oldest = ms end
      end
    end
  end
  r.delayed = call('ZCARD', b .. ':later')
  r.dead = call('ZCARD', b .. ':dead')
  r.gated = call('HLEN', b .. ':recs') - r.delayed - r.dead
  if #r.sides == 0 then r.sides = nil end
  out[q] = r
end
if #a.queues == 0 then return '{"now":' .. int(now()) .. ',"queues":{}}' end
return cjson.encode({ now = now(), queues = out })
