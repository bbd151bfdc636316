#!lua flags=allow-oom
-- Notes that somebody has seen what the server forgot: they are no findings any more. A report that names more jobs later is a new one.
-- ARGV[1]: { q: queue, or nil for all, by: who }
-- Returns how many reports were acknowledged.
--#prelude
local a = cjson.decode(ARGV[1])
local losses = P .. 'losses'
local flat, done = call('HGETALL', losses), 0
for i = 1, #flat, 2 do
  local known, isChanged = cjson.decode(flat[i + 1]), false
  for q, report in pairs(known) do
    if (a.q == nil or a.q == q) and not report.seen then
      report.seen, report.by = now(), a.by
      done, isChanged = done + 1, true
    end
  end
  if isChanged then call('HSET', losses, flat[i], cjson.encode(known)) end
end
return done
