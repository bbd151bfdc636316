#!lua
-- Makes the set what it is elsewhere (in PostgreSQL), unless somebody else has changed it since it was looked at.
-- ARGV[2]: the version that was looked at; then per subscription name, since, definition
-- Returns { "replaced" | "unchanged" | "moved", version }
--#prelude
if int(version) ~= ARGV[2] then return { 'moved', int(version) } end
local after = nextVersion()
local put = { 'version', after }
local kept = { version = true }
for i = 3, #ARGV, 3 do
  local field, value = 's:' .. ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 2]
  kept[field] = true
  if call('HGET', KEY, field) ~= value then
    put[#put + 1] = field
    put[#put + 1] = value
  end
end
local gone = {}
for _, field in ipairs(call('HKEYS', KEY)) do
  if not kept[field] then gone[#gone + 1] = field end
end
if #put == 2 and #gone == 0 and version > 0 then return { 'unchanged', int(version) } end
call('HSET', KEY, unpack(put))
if #gone > 0 then call('HDEL', KEY, unpack(gone)) end
return { 'replaced', after }
