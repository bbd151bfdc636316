#!lua flags=allow-oom
-- Takes a subscription out, and remembers that it was: one that Redis forgot is registered again by its workers.
-- The version first: whoever knows the old one asks again, and nothing goes to a subscription that is gone.
-- ARGV[2]: name
-- Returns { "removed" | "absent", version }
--#prelude
local field = 's:' .. ARGV[2]
if call('HEXISTS', KEY, field) == 0 then return { 'absent', int(version) } end
local after = nextVersion()
call('HSET', KEY, 'version', after, 'x:' .. ARGV[2], after)
call('HDEL', KEY, field)
return { 'removed', after }
