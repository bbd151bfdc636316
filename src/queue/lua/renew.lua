#!lua flags=allow-oom
-- Renews the leases of attempts that a worker still runs, or confirms that fetched ones are still its own.
-- ARGV[1]: { w: worker id, c: consumer that shall hold them, q: [queue], n: entries }
-- then per entry two values: index of its queue (from 1) with its letter as "1m", entry id.
-- Returns the positions (from 1) of those that belong to the worker no longer.
--#prelude
local a = cjson.decode(ARGV[1])
local lost = {}
for j = 1, a.n do
  local ref, entry = ARGV[j * 2], ARGV[j * 2 + 1]
  local index = tonumber(string.match(ref, '^%d+'))
  local key = stream(a.q[index], sub(ref, #tostring(index) + 1))
  local who, times = holder(key, entry)
  -- Counted, so that a hand-back decided before this renewal and arriving after it is recognised (release.lua).
  -- An entry deleted behind our back is dropped by XCLAIM and comes back as nothing.
  if not who or not isOf(who, a.w) or #call('XCLAIM', key, GROUP, a.c, 0, entry, 'RETRYCOUNT', times + 1, 'JUSTID') == 0 then
    lost[#lost + 1] = j
  end
end
return lost
