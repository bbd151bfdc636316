#!lua
-- Registers a subscription, or changes what it asks for; what is since stays.
-- ARGV[2]: name, ARGV[3]: definition, JSON, ARGV[4]: most subscriptions
-- Returns { "registered" | "changed" | "unchanged" | "full", version }
--#prelude
local field = 's:' .. ARGV[2]
local present = call('HGET', KEY, field)
local since = present and string.match(present, '^(%d+) ')
if since and present == since .. ' ' .. ARGV[3] then return { 'unchanged', int(version) } end
if not since then
  local count = 0
  for _, name in ipairs(call('HKEYS', KEY)) do
    if string.sub(name, 1, 2) == 's:' then count = count + 1 end
  end
  if count >= tonumber(ARGV[4]) then return { 'full', int(version) } end
end
local after = nextVersion()
call('HSET', KEY, 'version', after, field, (since or after) .. ' ' .. ARGV[3])
call('HDEL', KEY, 'x:' .. ARGV[2])
return { since and 'changed' or 'registered', after }
