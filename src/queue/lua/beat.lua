#!lua flags=allow-oom
-- A worker's sign of life, once a second: registers it, tells it what it must know, and forgets workers and consumers long gone.
-- ARGV[1]: { w: worker id, about: JSON text or nil (= it leaves), queues: [name], gone: ms without a sign after which a worker is forgotten }
-- Returns JSON { now, queues: { name: { accepted, acceptedAt, suspects, sides: [type] or nil } } }.
--#prelude
local a = cjson.decode(ARGV[1])
local workers, seen = P .. 'workers', P .. 'workers:seen'
local at = now()
if a.about then
  call('HSET', workers, a.w, a.about)
  call('ZADD', seen, int(at), a.w)
else
  call('HDEL', workers, a.w)
  call('ZREM', seen, a.w)
end

local out = {}
for _, q in ipairs(a.queues) do
  local n = call('HMGET', base(q) .. ':n', 'accepted', 'acceptedAt')
  local sides = call('SMEMBERS', base(q) .. ':sides')
  local suspects = call('XLEN', stream(q, 's'))
  if suspects > 0 then
    local pending = pcall_('XPENDING', stream(q, 's'), GROUP)
    if not pending.err then suspects = suspects - pending[1] end
  end
  out[q] = { accepted = tonumber(n[1] or 0), acceptedAt = tonumber(n[2] or 0), suspects = suspects, sides = #sides > 0 and sides or nil }
end

-- A consumer is removed only while it owns nothing; this script is the only reader of that moment.
local gone = call('ZRANGE', seen, '-inf', int(at - a.gone), 'BYSCORE', 'LIMIT', 0, 10)
for _, w in ipairs(a.about and gone or { a.w }) do
  local owns = false
  for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do
    local letters = { 'm', 'f', 's' }
    for _, t in ipairs(call('SMEMBERS', base(q) .. ':sides')) do letters[#letters + 1] = 't' .. t end
    for _, letter in ipairs(letters) do
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
  if not owns then
    call('HDEL', workers, w)
    call('ZREM', seen, w)
  end
end
return cjson.encode({ now = at, queues = out })
