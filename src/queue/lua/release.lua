#!lua flags=allow-oom
-- Hands attempts back that were fetched and not started, uncharged, ahead of the backlog.
-- ARGV[1]: { w: worker id, c: its consumer when this was decided, q: [queue], n: entries }
-- then per entry three values: index of its queue (from 1) with its letter as "1m", entry id, and how often it had been delivered
-- when this was decided ('' = whatever: the attempt was taken out of the lease table and cannot start).
-- Returns how many were handed back. What was confirmed meanwhile, is no longer the worker's, or is held by a newer session of it (Redis
-- forgot that it had handed the entry out, and the worker has read it again), stays.
--#prelude
local a = cjson.decode(ARGV[1])
local function sessionOf(consumer) return tonumber(sub(consumer, #a.w + 2)) end
local session = sessionOf(a.c)
local released = 0
for j = 1, a.n do
  local ref, entry, seen = ARGV[j * 3 - 1], ARGV[j * 3], ARGV[j * 3 + 1]
  local index = tonumber(string.match(ref, '^%d+'))
  local q, letter = a.q[index], sub(ref, #tostring(index) + 1)
  local key = stream(q, letter)
  local who, times = holder(key, entry)
  if who and isOf(who, a.w) and sessionOf(who) <= session and (seen == '' or tonumber(seen) == times) then
    local t, o, d = readEntry(key, entry)
    if t then
      local opts = options(o)
      release(q, letter, entry, opts.i or entry, t, opts, d)
      released = released + 1
    else
      call('XACK', key, GROUP, entry)
    end
  end
end
return released
