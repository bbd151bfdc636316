#!lua flags=allow-oom
-- Reports the outcomes of attempts of one queue. Outcomes of stale attempts change nothing and are returned.
-- ARGV[1]: { q: queue, w: worker id, lists: [[letter, with places: bool, kept: bool]], m: others,
--            h: history text of the others or nil, hn: history entries kept, ha: history age kept (ms) }
-- then per list a section of the history (history.ts), a line per attempt that begins with its entry and, with places, ends with its
-- job's: attempts that completed, begun in this life of the server, without key or large payload;
-- then m JSON objects { s: letter, e: entry, i: job id, r: outcome, again: it was sent before, ... } (see `outcomes`).
-- Returns the entries of attempts whose outcome was refused (they were taken over, or that cannot be told) as "<letter>:<entry>".
--#prelude
local a = cjson.decode(ARGV[1])
local q, worker = a.q, a.w
local stale = {}
local history = {}

-- The entries of a section of the history, and the places of their jobs where these are others. One text for many attempts is read
-- faster than an argument each, and is kept as the history as it stands.
local function entriesOf(section, withPlaces)
  local entries, n = {}, 0
  if not withPlaces then
    for entry in gmatch(section, '\n(%S+)') do
      n = n + 1
      entries[n] = entry
    end
    return entries, nil
  end
  local places = {}
  for entry, id in gmatch(section, '\n(%S+) %S+ %S+ (%S+)') do
    n = n + 1
    entries[n], places[n] = entry, id
  end
  return entries, places
end

local completed = 0

-- A stale attempt's entry is gone (whoever rescued it deleted it). XDEL first: were XACK to succeed and XDEL to fail, the entry
-- would stand in the stream where nobody reads it again. Each entry is one attempt, so that nobody else can hold this one.
local function complete(letter, entries, places)
  local key = stream(q, letter)
  local gone = call('XDEL', key, unpack(entries))
  if gone == #entries then
    if places then call('HDEL', base(q) .. ':where', unpack(places)) end
    call('XACK', key, GROUP, unpack(entries))
    completed = completed + gone
    return
  end
  -- What is pending tells which: those that were deleted just now and ours still are, those that had been taken over are not.
  for j, entry in ipairs(entries) do
    if holder(key, entry) then
      if places then call('HDEL', base(q) .. ':where', places[j]) end
      call('XACK', key, GROUP, entry)
      completed = completed + 1
    else
      stale[#stale + 1] = letter .. ':' .. entry
    end
  end
end

local outcomes = {}

function outcomes.completed(x, _, opts)
  if opts.k then admitNext(q, opts.k, x.i, x.e) end
  removeEntry(q, x.s, x.e, x.i)
  completed = completed + 1
end

-- { d: delay ms, er: { m, st, ms } or nil, a: true = charge an attempt }
function outcomes.delayed(x, t, opts, d)
  local due = now() + x.d
  opts.i, opts.f = x.i, x.e
  if not opts.at then opts.at = idMs(x.e) end
  if x.a then opts.a = (opts.a or 0) + 1 end
  if x.er then
    x.er.n, x.er.at = (opts.a or 0), now()
    note(opts, x.er)
  end
  -- The name first: one without a record is dropped when it is due, a record without a name would stay.
  call('ZADD', base(q) .. ':later', int(due), x.i)
  call('HSET', base(q) .. ':recs', x.i, record(opts.k and 'kr' or 'r', t, cjson.encode(opts), d))
  removeEntry(q, x.s, x.e, x.i)
  count(q, x.a and 'retried' or 'snoozed', 1)
  wake(q, due)
end

-- { rs: reason, er: error or nil, a: true = charge an attempt }
function outcomes.dead(x, t, opts, d)
  if x.a then opts.a = (opts.a or 0) + 1 end
  if x.er then
    x.er.n, x.er.at = (opts.a or 0), now()
    note(opts, x.er)
  end
  bury(q, x.s, x.e, x.i, t, opts, d, x.rs)
end

function outcomes.released(x, t, opts, d) release(q, x.s, x.e, x.i, t, opts, d) end

-- Moved to the side stream of its type, which only workers that have the type read. `ls`: stands there since.
function outcomes.aside(x, t, opts, d)
  opts.i, opts.f = x.i, x.e
  if not opts.at then opts.at = idMs(x.e) end
  opts.ls = now() -- anew each time: between, a worker that has the type may have run it
  local letter = 't' .. t
  local made = pcall_('XGROUP', 'CREATE', stream(q, letter), GROUP, '0', 'MKSTREAM')
  if made.err and not find(made.err, 'BUSYGROUP', 1, true) then error(made.err) end
  call('SADD', base(q) .. ':sides', t)
  place(q, letter, x.i, x.e, t, cjson.encode(opts), d)
  removeEntry(q, x.s, x.e, nil)
end

local function vanish(counter)
  return function(x, _, opts)
    if opts.k then admitNext(q, opts.k, x.i, x.e) end
    removeEntry(q, x.s, x.e, x.i)
    count(q, counter, 1)
  end
end
outcomes.cancelled, outcomes.expired = vanish('cancelled'), vanish('expired')

-- Outcomes sent before whose answer was lost: applied then if their job is gone; else one cannot tell, and it is not counted.
local applied, unsure = {}, {}
local ends = { completed = true, cancelled = true, expired = true }
local function isKnown(x)
  if readEntry(stream(q, x.s), x.e) then return true end
  if find(x.i, '^%d+%-%d+$') and readEntry(base(q), x.i) then return true end
  if call('HEXISTS', base(q) .. ':where', x.i) == 1 then return true end
  return call('HEXISTS', base(q) .. ':recs', x.i) == 1
end

-- What is pending for us and deleted: behind our back, or by a settlement that then failed. Nothing is left to settle but what names
-- the entry.
local function finish(x)
  if call('HGET', base(q) .. ':where', x.i) == x.s .. ':' .. x.e then call('HDEL', base(q) .. ':where', x.i) end
  call('XACK', stream(q, x.s), GROUP, x.e)
end

local function settle(x)
  local key = stream(q, x.s)
  local who = holder(key, x.e)
  local isOurs = who and isOf(who, worker)
  local t, o, d
  if isOurs then t, o, d = readEntry(key, x.e) end
  if t then
    local opts = options(o)
    outcomes[x.r](x, t, opts, d)
    if opts.p and ends[x.r] then call('UNLINK', P .. 'p:' .. q .. ':' .. x.i) end
    return
  end
  local name = x.s .. ':' .. x.e
  if isOurs then finish(x) end
  if not x.again then
    stale[#stale + 1] = name
  elseif ends[x.r] and not isKnown(x) then
    -- Counted when it was applied, unless that failed before it was acknowledged.
    if isOurs then count(q, x.r, 1) end
    applied[#applied + 1] = name
  else
    unsure[#unsure + 1] = name
  end
end

-- What fails must not spoil the account of the others: each is applied by itself. All of them add before they remove, so what failed half
-- way is done again.
local failed = {}
local function try(apply, ...)
  local isDone, err = pcall(apply, ...)
  return not isDone and (type(err) == 'table' and err.err or tostring(err)) or nil
end
local function fail(name, reason)
  failed[#failed + 1] = name
  failed[#failed + 1] = reason
end

for j, list in ipairs(a.lists) do
  local letter, section = list[1], ARGV[j + 1]
  local entries, places = entriesOf(section, list[2])
  local reason = try(complete, letter, entries, places)
  if reason then
    for _, entry in ipairs(entries) do fail(letter .. ':' .. entry, reason) end
  end
  if list[3] then history[#history + 1] = section end
end
if a.h then history[#history + 1] = a.h end

for j = #a.lists + 2, #a.lists + 1 + a.m do
  local x = cjson.decode(ARGV[j])
  local reason = try(settle, x)
  if reason then fail(x.s .. ':' .. x.e, reason) end
end

if completed > 0 then count(q, 'completed', completed) end
if #stale > 0 then count(q, 'stale', #stale) end
for _, name in ipairs(unsure) do stale[#stale + 1] = name end

local function writeHistory()
  local void = { unpack(stale) }
  for _, name in ipairs(applied) do void[#void + 1] = name end
  for j = 1, #failed, 2 do void[#void + 1] = failed[j] end
  local key = base(q) .. ':done'
  local text = table.concat(history, '\n')
  call('XADD', key, 'MAXLEN', '~', a.hn, '*', 'v', '1', 'b', text, 'x', table.concat(void, ' '))
  if a.ha then call('XTRIM', key, 'MINID', '~', int(now() - a.ha)) end
end
local unwritten = #history > 0 and try(writeHistory) or ''
return { stale, failed, unwritten }
