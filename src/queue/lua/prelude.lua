-- What every script begins with. The loader puts it between a script's flags line and its body (scripts.ts).
-- KEYS[1]: the prefix of the namespace, `{moca:<namespace>}:`. All keys are built from it, so all lie in one slot.
-- ARGV[1]: a JSON object of named inputs; what follows is flat, because a payload must never pass through cjson.
local P = KEYS[1]
local call, pcall_ = redis.call, redis.pcall
local find, sub, gmatch, format, floor = string.find, string.sub, string.gmatch, string.format, math.floor
local GROUP = 'w'

-- Milliseconds of the server's clock. The only clock that scripts know; the model test replaces this function.
local function now()
  local t = call('TIME')
  return t[1] * 1000 + floor(t[2] / 1000)
end

-- A process of another layout must neither read nor write. 'none' = a server that forgot everything: open it again.
local layout = call('GET', P .. 'layout')
if layout ~= LAYOUT and not OPENS then
  return redis.error_reply('MOCALAYOUT ' .. (layout or 'none'))
end

local function int(n) return format('%.0f', n) end

local function idMs(id) return tonumber(sub(id, 1, find(id, '-', 1, true) - 1)) end

-- Keys of one queue.
local function base(q) return P .. 'q:' .. q end

-- A stream of a queue by its letter: m main, f front, s suspect, a alone, t<type> a side stream.
local function stream(q, letter)
  if letter == 'm' then return base(q) end
  if letter == 'f' then return base(q) .. ':front' end
  if letter == 's' then return base(q) .. ':suspect' end
  if letter == 'a' then return base(q) .. ':alone' end
  return base(q) .. ':t:' .. sub(letter, 2)
end

-- The letters of the streams that every queue has.
local LETTERS = { 'm', 'f', 's', 'a' }

-- The letters of all streams of a queue.
local function lettersOf(q)
  local letters = { unpack(LETTERS) }
  for _, t in ipairs(call('SMEMBERS', base(q) .. ':sides')) do letters[#letters + 1] = 't' .. t end
  return letters
end

-- The floor of a queue: an entry id that entries added again, or under a key, must be above, so that fences grow over restarts,
-- freed keys and clocks that are set back. An id and not its ms: a key that is used many times in a ms must not run ahead of the clock.
local function floorOf(q)
  local ms, seq = string.match(call('HGET', base(q) .. ':n', 'floor') or '0-0', '^(%d+)%-(%d+)$')
  return tonumber(ms), tonumber(seq)
end

local function raiseFloor(q, id)
  local ms, seq = floorOf(q)
  local toMs, toSeq = idMs(id), tonumber(sub(id, find(id, '-', 1, true) + 1))
  if toMs > ms or (toMs == ms and toSeq > seq) then call('HSET', base(q) .. ':n', 'floor', id) end
end

-- Lets the main stream's own ids (XADD *) go on above the floor, too, before it has its first entry as well.
local function liftMain(q)
  local key = base(q)
  local main = pcall_('XINFO', 'STREAM', key)
  if main.err and pcall_('XGROUP', 'CREATE', key, GROUP, '0', 'MKSTREAM').err then return end
  local ms, seq = floorOf(q)
  local last = main[8] or '0-0'
  if idMs(last) < ms or (idMs(last) == ms and tonumber(sub(last, find(last, '-', 1, true) + 1)) < seq) then
    call('XSETID', key, int(ms) .. '-' .. int(seq))
  end
end

-- Makes a queue known. What is added to it, anew or again, gets an id above the boot of this life of the server, and above what somebody
-- was told in an earlier one (open.lua).
local function register(q)
  if call('SADD', P .. 'queues', q) == 0 then return end
  local boot = call('XREVRANGE', P .. 'boots', '+', '-', 'COUNT', 1)[1]
  if boot then raiseFloor(q, boot[1]) end
  local told = call('GET', P .. 'floor')
  if told then raiseFloor(q, told) end
  liftMain(q)
end

-- Adds an entry with an id of at least `ms`, above everything in the stream, above the floor, never before now.
-- The stream's own last id may be ahead (a clock that went back): then '*' continues from there.
local function add(q, letter, ms, t, o, d)
  local key = stream(q, letter)
  local at, seq = math.max(now(), ms), '*'
  local lowMs, lowSeq = floorOf(q)
  if lowMs >= at then at, seq = lowMs, int(lowSeq + 1) end
  local id = pcall_('XADD', key, int(at) .. '-' .. seq, 't', t, 'o', o, 'd', d)
  if type(id) == 'table' then id = call('XADD', key, '*', 't', t, 'o', o, 'd', d) end
  return id
end

-- Adds a job whose id is not its place, and notes where it stands. `after`: the entry of its attempt before, or nil.
local function place(q, letter, id, after, t, o, d)
  local entry = add(q, letter, after and idMs(after) + 1 or 0, t, o, d)
  call('HSET', base(q) .. ':where', id, letter .. ':' .. entry)
  return entry
end

-- A record of a job outside the streams: flags, type, options, payload. The payload comes last and may hold anything.
-- flags: k has a key, r was attempted before; none of them = it goes straight to the front when it is due.
local function record(flags, t, o, d) return flags .. '\n' .. t .. '\n' .. o .. '\n' .. d end

local function parseRecord(text)
  local a = find(text, '\n', 1, true)
  local b = a and find(text, '\n', a + 1, true)
  local c = b and find(text, '\n', b + 1, true)
  if not c then return 'r', '?', '', text end -- damaged: whoever reads it finds no handler
  return sub(text, 1, a - 1), sub(text, a + 1, b - 1), sub(text, b + 1, c - 1), sub(text, c + 1)
end

-- The kind of value of an option (entry.ts); nil for one of another release. No table: every script would make it anew, used or not.
local function kindOf(name)
  if find(name, ' ', 1, true) then return nil end
  local word = ' ' .. name .. ' '
  if find(' at a s c r x n tm kc p ls da ra b ', word, 1, true) then return 'number' end
  if find(' i k h f rs rb ', word, 1, true) then return 'string' end
  if find(' er rt ', word, 1, true) then return 'table' end
end

-- cjson reads numbers that it refuses to write.
local function isWritable(value)
  if type(value) == 'number' then return value - value == 0 end
  if type(value) ~= 'table' then return true end
  for _, each in pairs(value) do
    if not isWritable(each) then return false end
  end
  return true
end

-- The numbers that cjson reads and JSON does not know: 0x10, 01, +1, 1. and .5 (in a text without strings).
local function hasOddNumber(o)
  return find(o, '[:,%[] *%-?0[%dxX]') or find(o, '[:,%[] *%+') or find(o, '%.%D') or find(o, '%D%.')
end

-- Whether a text may be what a worker's JSON takes for an object, where cjson is content with more.
local function isStrict(o)
  if not find(o, '^ *{') or find(o, '[%z\1-\31]') then return false end
  -- What looks like a number may stand in a string, which is rare: only then they are cut out.
  return not hasOddNumber(o) or not hasOddNumber((string.gsub((string.gsub(o, '\\.', '')), '"[^"]*"', '""')))
end

-- Errors kept with a job. None of them is never written, and would be written again as an object.
local function areErrors(list)
  for index, e in pairs(list) do
    if type(index) ~= 'number' or type(e) ~= 'table' or type(e.n) ~= 'number' or type(e.at) ~= 'number' then return false end
    if math.abs(e.at) > 8.64e15 or type(e.m) ~= 'string' or (e.st ~= nil and type(e.st) ~= 'string') then return false end
  end
  return next(list) ~= nil
end

-- A job's options, and whether they are what they should be. What is not is left out: a foreign or damaged entry must not stop a script
-- half way, and what stands behind it. `judgeOptions` (entry.ts) judges alike.
local function options(o)
  if o == '' then return {}, true end
  if not isStrict(o) then return {}, false end
  local fine, value = pcall(cjson.decode, o)
  if not fine then return {}, false end
  for name, each in pairs(value) do
    if type(each) ~= (kindOf(name) or type(each)) or not isWritable(each) then fine, value[name] = false, nil end
  end
  if value.f and not find(value.f, '^%d+%-%d+$') then fine, value.f = false, nil end
  if value.er and not areErrors(value.er) then fine, value.er = false, nil end
  return value, fine
end

-- The stream that a job goes back to: one rescued from a dead worker stays a suspect, one that was charged for it runs alone.
local function backTo(opts)
  if (opts.c or 0) > 0 then return 'a' end
  return (opts.s or 0) > 0 and 's' or 'f'
end

-- Reads one entry: type, options as text, payload; nil when it is not there.
local function readEntry(key, entry)
  local found = call('XRANGE', key, entry, entry)
  if #found == 0 then return nil end
  local f = found[1][2]
  return f[2] or '?', f[4] or '', f[6] or ''
end

-- Who holds an entry, and how often it was delivered, renewed or confirmed; nil when it is not pending.
local function holder(key, entry)
  local p = pcall_('XPENDING', key, GROUP, entry, entry, 1)
  if p.err or #p == 0 then return nil end
  return p[1][2], p[1][4]
end

-- Consumers are named <worker>.<session>: another session of the same process still is the owner.
local function isOf(consumer, worker) return sub(consumer, 1, #worker + 1) == worker .. '.' end

-- Tells the workers' timers that a delayed job has become one of the first to fall due. Instants are compared, not ids: of several
-- jobs due at one instant, any may be the head.
local function wake(q, due)
  local head = call('ZRANGE', base(q) .. ':later', 0, 0, 'WITHSCORES')
  if tonumber(head[2]) == due then call('PUBLISH', P .. 'wake', q .. ' ' .. int(due)) end
end

-- Lets the next job of a key through to the front, or frees the key. `id`: the job that leaves it; it may have left already, when what
-- follows failed and is done again. `entry`: the last attempt under this key, or nil.
-- Adds before it removes: a failure half way leaves the job twice, never nowhere.
local function admitNext(q, key, id, entry)
  local list = P .. 'g:' .. q .. ':' .. key
  if call('HGET', base(q) .. ':slots', key) ~= id then return end
  while true do
    local nextId = call('LINDEX', list, 0)
    if not nextId then
      -- The key's next job must have a higher fence, even if the clock is set back before it comes.
      if entry then raiseFloor(q, entry) end
      call('HDEL', base(q) .. ':slots', key)
      return
    end
    local text = call('HGET', base(q) .. ':recs', nextId)
    if text then
      local _, t, o, d = parseRecord(text)
      place(q, 'f', nextId, entry, t, o, d)
      call('HSET', base(q) .. ':slots', key, nextId)
      call('HDEL', base(q) .. ':recs', nextId)
      call('LPOP', list)
      return
    end
    call('LPOP', list) -- a name without a record: nothing is behind it (verify names it)
  end
end

-- Removes an attempt's entry once everything that follows from it has been written. The note where it stands goes first: of what is
-- done again after a failure, only the entry shows that it was not finished.
local function removeEntry(q, letter, entry, id)
  local key = stream(q, letter)
  if id then call('HDEL', base(q) .. ':where', id) end
  call('XDEL', key, entry)
  call('XACK', key, GROUP, entry)
end

local function count(q, name, n) call('HINCRBY', base(q) .. ':n', name, n) end

-- Errors kept with a job: the first and the last seven.
local function note(opts, err)
  local list = opts.er or {}
  if #list >= 8 then table.remove(list, 2) end
  list[#list + 1] = err
  opts.er = list
end

-- Notes what a person should hear of (note-reader.ts). The latest are kept, whether or not somebody reads them.
local function tell(kind, q, ...) call('XADD', P .. 'notes', 'MAXLEN', '~', 10000, '*', 'kind', kind, 'q', q, ...) end

-- Moves an attempt's job to the dead letters, and lets the next of its key through, unless it keeps the key (`b`).
local function bury(q, letter, entry, id, t, opts, d, reason)
  opts.i, opts.f, opts.rs = id, entry, reason
  if not opts.at then opts.at = idMs(entry) end
  local died = now()
  opts.da = died
  call('HSET', base(q) .. ':recs', id, record(opts.k and 'kr' or 'r', t, cjson.encode(opts), d))
  call('ZADD', base(q) .. ':dead', int(died), id)
  local topic = opts.h and string.match(opts.h, '"moca%-topic":"([^"]*)"') or ''
  tell('dead', q, 'id', id, 't', t, 'r', reason, 'topic', topic, 'at', int(died))
  if opts.k and opts.b ~= 1 then admitNext(q, opts.k, id, entry) end
  removeEntry(q, letter, entry, id)
  count(q, 'died', 1)
end

-- Gives an attempt back uncharged, ahead of the backlog.
local function release(q, letter, entry, id, t, opts, d)
  opts.i, opts.f, opts.r = id, entry, (opts.r or 0) + 1
  if not opts.at then opts.at = idMs(entry) end
  place(q, backTo(opts), id, entry, t, cjson.encode(opts), d)
  -- `place` has just noted the new entry in `where`: only the old entry goes.
  removeEntry(q, letter, entry, nil)
  count(q, 'released', 1)
end
