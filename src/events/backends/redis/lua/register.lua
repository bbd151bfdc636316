#!lua
-- Registers a subscription, or changes what it asks for; what is since stays.
-- ARGV[2]: name, ARGV[3]: definition, JSON
-- Returns { "registered" | "changed" | "unchanged", version }
--#prelude
local field = 's:' .. ARGV[2]
local present = call('HGET', KEY, field)
local since = present and string.match(present, '^(%d+) ')
if since and present == since .. ' ' .. ARGV[3] then return { 'unchanged', int(version) } end
local after = nextVersion()
call('HSET', KEY, 'version', after, field, (since or after) .. ' ' .. ARGV[3])
call('HDEL', KEY, 'x:' .. ARGV[2])
return { since and 'changed' or 'registered', after }
