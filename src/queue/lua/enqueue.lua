#!lua
-- Accepts jobs of one queue. Refused as a whole when Redis is out of memory (no allow-oom flag): nothing is half accepted.
-- ARGV[1]: { q: queue, n: jobs, max: most waiting or nil, atomic: true = all or none against `max`, plain: type or nil }
-- then, with `plain`, a payload per job: all are of that type and go straight onto the main stream; else per job four values: type,
--   options ('' or JSON object text), payload, control ('' = straight onto the main stream, or
--   JSON { i: given id, in: delay ms | on: instant ms, k: key, u: idempotency hash, ut: its ttl ms, big: true })
-- Returns { accepted so far, instant (ms), ... } and then, with `plain`, the place of the first and how many were accepted (the places of
-- the others follow it, one number apart); else per job its place, "=" .. id for a duplicate, or "full".
--#prelude
local a = cjson.decode(ARGV[1])
local q, n = a.q, a.n
local main = base(q)
local at = now()
local out = { 0, int(at) }
local room = n

-- How many jobs need room: not those whose idempotency key is known, or repeated within the call.
local function newcomers()
  if a.plain then return n end
  local seen, new = {}, 0
  for j = 1, n do
    local c = ARGV[j * 4 + 1]
    local u = c ~= '' and cjson.decode(c).u
    if not u then
      new = new + 1
    elseif not seen[u] then
      seen[u] = true
      if call('EXISTS', P .. 'u:' .. u) == 0 then new = new + 1 end
    end
  end
  return new
end

if a.max then
--#room
  room = a.max - waitingIn(q)
  if a.atomic and room < n and room < newcomers() then room = 0 end
end

-- Before the first job: it has an id above the boot, too.
local counters = base(q) .. ':n'
local before = tonumber(call('HGET', counters, 'accepted') or 0)
if before == 0 then register(q) end

-- For the first job with a given id: most calls have none, and every function that is made costs them.
local function newIntake()
--#accept
  return intake(q, at)
end

local accepted = 0
local given, marked, markers = nil, nil, nil

local function accept(i)
  local t, o, d, c = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
  if c == '' then
    if accepted >= room then return 'full' end
    accepted = accepted + 1
    return call('XADD', main, '*', 't', t, 'o', o, 'd', d)
  end
  local x = cjson.decode(c)
  if x.u then
    local known = marked[x.u] or call('GET', P .. 'u:' .. x.u)
    if known then return '=' .. known end
  end
  if accepted >= room then return 'full' end
  accepted = accepted + 1
  local id = x.i
  if id then
    given = given or newIntake()
    given.accept(id, t, o, d, x.k, x.on or (x['in'] and at + x['in']), x.big)
  else
    id = call('XADD', main, '*', 't', t, 'o', o, 'd', d)
  end
  if x.u then
    marked[x.u] = q .. '.0.' .. id
    markers[#markers + 1] = x
  end
  return id
end

if a.plain then
  local t = a.plain
  accepted = math.max(0, math.min(n, room))
  out[3], out[4] = '', accepted
  if accepted > 0 then
    local first = call('XADD', main, '*', 't', t, 'o', '', 'd', ARGV[2])
    -- The others in the millisecond of the first, so that their places need not be told.
    local next = sub(first, 1, find(first, '-', 1, true)) .. '*'
    for j = 3, accepted + 1 do call('XADD', main, next, 't', t, 'o', '', 'd', ARGV[j]) end
    out[3] = first
  end
else
  marked, markers = {}, {}
  for j = 1, n do out[j + 2] = accept(j * 4 - 2) end
  if given then given.finish() end
  -- Once their jobs are there: what a marker tells of must be.
  for _, x in ipairs(markers) do call('SET', P .. 'u:' .. x.u, marked[x.u], 'PX', int(x.ut)) end
end

out[1] = before + accepted
if accepted > 0 then
  call('HSET', counters, 'accepted', int(out[1]), 'acceptedAt', out[2])
  if given and given.soonest then wake(q, given.soonest) end
end
return out
