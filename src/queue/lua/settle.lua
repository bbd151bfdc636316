#!lua flags=allow-oom
-- Reports the outcomes of attempts of one queue. Outcomes of stale attempts change nothing and are returned.
-- ARGV[1]: { q: queue, w: worker id, lists: [[letter, n, with ids: bool]], m: others,
--            h: history text or nil, hn: history entries kept, ha: history age kept (ms) }
-- then per list n entry ids (+ n job ids): attempts that completed, begun in this life of the server, without key or large payload;
-- then m JSON objects { s: letter, e: entry, i: job id, r: outcome, ... } (see `outcomes`).
-- Returns the entries of stale attempts as "<letter>:<entry>".
--#prelude
local a = cjson.decode(ARGV[1])
local q, worker = a.q, a.w
local stale = {}
local at = 2

-- A stale attempt's entry is gone (whoever rescued it deleted it). XDEL first: were XACK to succeed and XDEL to fail, the entry
-- would stand in the stream where nobody reads it again. Each entry is one attempt, so that nobody else can hold this one.
local function complete(letter, n, withIds)
  local key = stream(q, letter)
  local gone = call('XDEL', key, unpack(ARGV, at, at + n - 1))
  local done = n
  if gone == n then
    if withIds then call('HDEL', base(q) .. ':where', unpack(ARGV, at + n, at + 2 * n - 1)) end
    call('XACK', key, GROUP, unpack(ARGV, at, at + n - 1))
  else
    -- What is pending tells which: those that were deleted just now and ours still are, those that had been taken over are not.
    for j = at, at + n - 1 do
      if holder(key, ARGV[j]) then
        if withIds then call('HDEL', base(q) .. ':where', ARGV[j + n]) end
        call('XACK', key, GROUP, ARGV[j])
      else
        done = done - 1
        stale[#stale + 1] = letter .. ':' .. ARGV[j]
      end
    end
  end
  at = at + (withIds and 2 * n or n)
  return done
end

local completed = 0

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

for _, list in ipairs(a.lists) do completed = completed + complete(list[1], list[2], list[3]) end

for j = at, at + a.m - 1 do
  local x = cjson.decode(ARGV[j])
  local key = stream(q, x.s)
  local who = holder(key, x.e)
  local t, o, d
  if who and isOf(who, worker) then t, o, d = readEntry(key, x.e) end
  if t then
    local opts = options(o)
    outcomes[x.r](x, t, opts, d)
    if opts.p and (x.r == 'completed' or x.r == 'cancelled' or x.r == 'expired') then
      call('UNLINK', P .. 'p:' .. q .. ':' .. x.i)
    end
  else
    -- Pending but deleted: behind our back, or by a settlement that then failed. Nothing is left to settle but what names the entry.
    if who and isOf(who, worker) then
      if call('HGET', base(q) .. ':where', x.i) == x.s .. ':' .. x.e then call('HDEL', base(q) .. ':where', x.i) end
      call('XACK', key, GROUP, x.e)
    end
    stale[#stale + 1] = x.s .. ':' .. x.e
  end
end

if completed > 0 then count(q, 'completed', completed) end
if #stale > 0 then count(q, 'stale', #stale) end
if a.h then
  call('XADD', base(q) .. ':done', 'MAXLEN', '~', a.hn, '*', 'v', '1', 'b', a.h, 'x', #stale > 0 and table.concat(stale, ' ') or '')
  if a.ha then call('XTRIM', base(q) .. ':done', 'MINID', '~', int(now() - a.ha)) end
end
return stale
