#!lua
-- Takes the lead where nobody has it, goes on leading, or gives it up.
-- ARGV[2]: owner, ARGV[3]: how long the lock holds (ms); 0 = give it up
-- Returns { "leading" | "standby" | "resigned", epoch, owner, version of the set, instant (ms), life of the server }
--#prelude
local owner, holdMs = ARGV[2], tonumber(ARGV[3])
local epoch, holder = string.match(call('GET', P .. 'leader') or '', '^(%d+) (.*)$')
local function answer(word)
  local boot = call('XREVRANGE', P .. 'boots', '+', '-', 'COUNT', 1)[1]
  return { word, epoch or '0', holder or '', call('HGET', KEY, 'version') or '0', int(now()), boot and boot[1] or '' }
end
if holdMs == 0 then
  if holder == owner then call('DEL', P .. 'leader') end
  return answer('resigned')
end
if holder and holder ~= owner then return answer('standby') end
if not holder then epoch, holder = nextNumber('epoch'), owner end
call('SET', P .. 'leader', epoch .. ' ' .. owner, 'PX', int(holdMs))
return answer('leading')
