#!lua flags=allow-oom
-- Opens a namespace on a connection: checks the layout, and notes a new life of the server before anything is written in it.
-- `seen`: the highest instant that this process was told; a server whose clock stands behind what it had issued goes on above it.
-- ARGV[1]: { seen: ms or nil, pair: "<run id>/<replication id>", queues: [name], groups: bool (make the consumer groups of these queues) }
-- Returns { boot id, "new" | "known", now (ms) }.
local OPENS = true
--#prelude
local a = cjson.decode(ARGV[1])
if layout and layout ~= LAYOUT then return redis.error_reply('MOCALAYOUT ' .. layout) end
if not layout then call('SET', P .. 'layout', LAYOUT) end

for _, q in ipairs(a.queues) do
  register(q)
  if a.groups then
    for _, letter in ipairs(LETTERS) do
      local made = pcall_('XGROUP', 'CREATE', stream(q, letter), GROUP, '0', 'MKSTREAM')
      if made.err and not find(made.err, 'BUSYGROUP', 1, true) then return made end
    end
  end
end

-- Everything that is added to a queue from now on, anew or again, has an id above `<ms>-0`: ids are not issued twice, fences grow.
local function goAbove(q, ms)
  raiseFloor(q, int(ms) .. '-0')
  liftMain(q)
end

local boots = P .. 'boots'
local last = call('XREVRANGE', boots, '+', '-', 'COUNT', 1)[1]
local began = now()
if last and last[2][2] == a.pair then
  -- Whoever noted this life may have been told less. Queues that come later begin above it, too (register).
  if a.seen and a.seen > began and a.seen > idMs(last[1]) then
    call('SET', P .. 'floor', int(a.seen + 1) .. '-0')
    for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do goAbove(q, a.seen + 1) end
  end
  return { last[1], 'known', int(began) }
end

local ms = began
if last and idMs(last[1]) >= ms then ms = idMs(last[1]) + 1 end
if a.seen and a.seen >= ms then ms = a.seen + 1 end
local boot = int(ms) .. '-0'
local accepted = {}
for _, q in ipairs(call('SMEMBERS', P .. 'queues')) do
  local n = base(q) .. ':n'
  accepted[q] = { tonumber(call('HGET', n, 'accepted') or 0), tonumber(call('HGET', n, 'acceptedAt') or 0) }
  goAbove(q, ms)
end
-- cjson writes an empty table as {}: right for an object.
call('XADD', boots, 'MAXLEN', 1000, boot, 'pair', a.pair, 'accepted', cjson.encode(accepted), 'at', int(began))
return { boot, 'new', int(began) }
