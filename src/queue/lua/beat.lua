#!lua flags=allow-oom
-- A worker's sign of life, once a second: registers it, tells it what it must know, and forgets workers and consumers long gone.
-- ARGV[1]: { w: worker id, about: JSON text or nil (= it leaves), lease: ms, queues: [name],
--   alone: true (= it could run a job alone now, or does) or nil }
-- Returns JSON { now, queues: { name: { accepted, acceptedAt, suspects, alone, sides: [type] or nil } }, mayRunAlone: true or nil }.
--#prelude
local a = cjson.decode(ARGV[1])
local workers, leases, seen, turns = P .. 'workers', P .. 'workers:lease', P .. 'workers:seen', P .. 'workers:alone'
local at = now()
-- A worker without a sign of life for so many of its leases is forgotten, once it owns nothing.
local FORGET_LEASES = 4
local TURN_MS = 10000

local function forgetWorker(w)
  call('HDEL', workers, w)
  call('HDEL', leases, w)
  call('ZREM', seen, w)
  call('ZREM', turns, w)
end

local function waiting(q, letter)
  local n = call('XLEN', stream(q, letter))
  if n == 0 then return 0 end
  local pending = pcall_('XPENDING', stream(q, letter), GROUP)
  return pending.err and n or n - pending[1]
end

if a.about then
  call('HSET', workers, a.w, a.about)
  call('HSET', leases, a.w, int(a.lease))
  call('ZADD', seen, int(at), a.w)
else
  forgetWorker(a.w)
end

local out, wanted = {}, false
for _, q in ipairs(a.queues) do
  local n = call('HMGET', base(q) .. ':n', 'accepted', 'acceptedAt')
  local sides = call('SMEMBERS', base(q) .. ':sides')
  local alone = waiting(q, 'a')
  wanted = wanted or alone > 0
  out[q] = { accepted = tonumber(n[1] or 0), acceptedAt = tonumber(n[2] or 0), suspects = waiting(q, 's'), alone = alone, sides = #sides > 0 and sides or nil }
end

-- At most half of the workers run a job alone at one time, so that the others still serve everybody else. A turn ends soon after
-- the signs of its worker.
local mayRunAlone = nil
call('ZREMRANGEBYSCORE', turns, '-inf', int(at))
if not a.alone then
  call('ZREM', turns, a.w)
elseif call('ZSCORE', turns, a.w) or (wanted and call('ZCARD', turns) < math.max(1, floor(call('ZCARD', seen) / 2))) then
  call('ZADD', turns, int(at + TURN_MS), a.w)
  mayRunAlone = true
end

-- Workers long gone, each by its own lease; a few at a time.
local function listGone()
  local gone = {}
  local found = call('ZRANGE', seen, '-inf', int(at - FORGET_LEASES * a.lease), 'BYSCORE', 'WITHSCORES')
  for j = 1, #found, 2 do
    local lease = tonumber(call('HGET', leases, found[j])) or a.lease
    if at - found[j + 1] >= FORGET_LEASES * lease and #gone < 10 then gone[#gone + 1] = found[j] end
  end
  return gone
end

-- A consumer is removed only while it owns nothing; this script is the only reader of that moment.
for _, w in ipairs(a.about and listGone() or { a.w }) do
  local owns = false
  for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do
    for _, letter in ipairs(lettersOf(q)) do
      local key = stream(q, letter)
      local consumers = pcall_('XINFO', 'CONSUMERS', key, GROUP)
      if not consumers.err then
        for _, c in ipairs(consumers) do
          if isOf(c[2], w) then
            if c[4] == 0 then call('XGROUP', 'DELCONSUMER', key, GROUP, c[2]) else owns = true end
          end
        end
      end
    end
  end
  if not owns then forgetWorker(w) end
end
return cjson.encode({ now = at, queues = out, mayRunAlone = mayRunAlone })
