#!lua flags=allow-oom
-- Writes positions of an outbox over what is noted, on an operator's word.
-- ARGV[1]: { n: units }
-- then per unit two values: its name, and what is to be noted (relay.lua), '' = nothing.
-- Returns how many were written.
--#prelude
local a = cjson.decode(ARGV[1])
local relay = P .. 'relay'
for j = 1, a.n do
  local unit, position = ARGV[j * 2], ARGV[j * 2 + 1]
  if position == '' then call('HDEL', relay, unit) else call('HSET', relay, unit, position) end
end
return a.n
