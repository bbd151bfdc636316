#!lua
-- Enables, disables or removes a schedule. One that is enabled begins now.
-- ARGV[2]: name, ARGV[3]: "enable" | "disable" | "remove"
-- Returns { "done" | "unchanged" | "not_found" | "configured" (it is to be taken out of the configuration) }
--#prelude
local name, to = ARGV[2], ARGV[3]
local _, enabled, text = read(name)
if not text then return { 'not_found' } end
if to == 'remove' then
  if cjson.decode(text).source == 'config' then return { 'configured' } end
  remove(name)
  nextNumber('version')
  return { 'done' }
end
local flag = to == 'enable' and '1' or '0'
if flag == enabled then return { 'unchanged' } end
if flag == '1' then beginNow(name) end
call('HSET', KEY, 's:' .. name, nextNumber('version') .. ' ' .. flag .. ' ' .. text)
return { 'done' }
