#!lua flags=allow-oom
-- Hands attempts back that were fetched and not started, uncharged, ahead of the backlog.
-- ARGV[1]: { w: worker id, idle: ms that an entry must have been held untouched, q: [queue], n: entries }
-- then per entry two values: index of its queue (from 1) with its letter as "1m", entry id.
-- Returns how many were handed back. What was confirmed meanwhile (idle less than that) or is no longer the worker's, stays.
--#prelude
local a = cjson.decode(ARGV[1])
local released = 0
for j = 1, a.n do
  local ref, entry = ARGV[j * 2], ARGV[j * 2 + 1]
  local index = tonumber(string.match(ref, '^%d+'))
  local q, letter = a.q[index], sub(ref, #tostring(index) + 1)
  local key = stream(q, letter)
  local who, idle = holder(key, entry)
  if who and isOf(who, a.w) and idle >= a.idle then
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
