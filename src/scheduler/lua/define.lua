#!lua
-- Defines schedules: one at run time, or all of a configuration, and then those that it does not name any more go. A schedule whose times
-- changed begins now; one that is disabled stays so.
-- ARGV[2]: "runtime" | "config", then per schedule two values: name, definition (JSON with the fields `source` and `times`)
-- Returns { version of the set, how many were new or changed, how many went, names of those of another source, which were left alone }
--#prelude
local source = ARGV[2]
local changed, removed, foreign, named = 0, 0, {}, {}
for i = 3, #ARGV, 2 do
  local name, text = ARGV[i], ARGV[i + 1]
  named[name] = true
  local _, enabled, present = read(name)
  local before = present and cjson.decode(present)
  if source == 'runtime' and before and before.source ~= source then
    foreign[#foreign + 1] = name
  elseif present ~= text then
    changed = changed + 1
    if not before or before.times ~= cjson.decode(text).times then beginNow(name) end
    call('HSET', KEY, 's:' .. name, nextNumber('version') .. ' ' .. (enabled or '1') .. ' ' .. text)
  end
end
if source == 'config' then
  local flat = call('HGETALL', KEY)
  for i = 1, #flat, 2 do
    local name = string.match(flat[i], '^s:(.*)$')
    local text = name and not named[name] and string.match(flat[i + 1], '^%d+ [01] (.*)$')
    if text and cjson.decode(text).source == source then
      remove(name)
      removed = removed + 1
    end
  end
end
if removed > 0 or call('HEXISTS', KEY, 'version') == 0 then nextNumber('version') end
return { call('HGET', KEY, 'version'), changed, removed, foreign }
