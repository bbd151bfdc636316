#!lua flags=allow-oom
-- Moves jobs on an operator's or a caller's word: cancel, retry (of dead letters), purge.
-- ARGV[1]: { q: queue, to: "cancel" | "retry" | "purge", n: jobs }
-- then the places of the jobs (the last part of their ids).
-- A dead letter that keeps its key is cancelled like a job that waits; others have ended.
-- Returns per job: "cancelled" | "retried" | "purged" | "active" (a worker has it) | "not_dead" | "not_found".
--#prelude
local a = cjson.decode(ARGV[1])
local q = a.q
local recs, where, later, dead = base(q) .. ':recs', base(q) .. ':where', base(q) .. ':later', base(q) .. ':dead'
local counters = { cancel = 'cancelled', purge = 'purged' }

-- Where a job stands: "stream", letter, entry | "delayed" | "dead" | "gated" | nil.
local function locate(id)
  local letter, entry = string.match(call('HGET', where, id) or '', '^(.+):(%d+%-%d+)$')
  if entry then return 'stream', letter, entry end
  if call('HEXISTS', recs, id) == 1 then
    if call('ZSCORE', later, id) then return 'delayed' end
    if call('ZSCORE', dead, id) then return 'dead' end
    return 'gated'
  end
  if string.match(id, '^%d+%-%d+$') then
    local _, o = readEntry(base(q), id)
    -- An entry whose job has an id of its own is not what is meant: deleting it here would leave its key held for ever.
    if o and not options(o).i then return 'stream', 'm', id end
  end
  return nil
end

-- Whether a dead letter keeps its key: nobody of it runs until this one leaves.
local function keepsKey(id)
  local _, _, o = parseRecord(call('HGET', recs, id))
  local opts = options(o)
  return opts.k ~= nil and call('HGET', base(q) .. ':slots', opts.k) == id
end

local function dropPayload(id, opts)
  if opts.p then call('UNLINK', P .. 'p:' .. q .. ':' .. id) end
end

-- Deletes a job for good. A held key goes to the next job.
local function vanish(id, at, letter, entry)
  if at == 'stream' then
    local key = stream(q, letter)
    local t, o = readEntry(key, entry)
    if not t then return 'not_found' end
    if holder(key, entry) then return 'active' end
    local opts = options(o)
    if opts.k then admitNext(q, opts.k, id, entry) end
    removeEntry(q, letter, entry, id)
    dropPayload(id, opts)
  else
    local _, _, o = parseRecord(call('HGET', recs, id))
    local opts = options(o)
    if opts.k then admitNext(q, opts.k, id, opts.f) end
    -- Failing half way leaves a name without a record, which is passed over; of a dead letter a record, which can be purged again.
    if at == 'dead' then call('ZREM', dead, id) end
    call('HDEL', recs, id)
    if at == 'delayed' then call('ZREM', later, id) end
    if at == 'gated' and opts.k then call('LREM', P .. 'g:' .. q .. ':' .. opts.k, 1, id) end
    dropPayload(id, opts)
  end
  count(q, counters[a.to], 1)
  return counters[a.to]
end

-- A dead letter starts anew at the front, its history kept; a keyed one goes through its key's gate.
local function retry(id, at)
  -- Begun before, and failed half way: it is in a stream already.
  if at == 'stream' and call('ZREM', dead, id) + call('HDEL', recs, id) > 0 then return 'retried' end
  if at ~= 'dead' then return at and 'not_dead' or 'not_found' end
  local _, t, o, d = parseRecord(call('HGET', recs, id))
  local opts = options(o)
  opts.a, opts.c, opts.s, opts.rs, opts.da, opts.ls, opts.x = nil, nil, nil, nil, nil, nil, nil
  local again = cjson.encode(opts)
  local held = opts.k and call('HGET', base(q) .. ':slots', opts.k)
  if held and held ~= id then
    call('HSET', recs, id, record('kr', t, again, d))
    call('RPUSH', P .. 'g:' .. q .. ':' .. opts.k, id)
    call('ZREM', dead, id)
  else
    place(q, 'f', id, opts.f, t, again, d)
    if opts.k then call('HSET', base(q) .. ':slots', opts.k, id) end
    call('ZREM', dead, id)
    call('HDEL', recs, id)
  end
  count(q, 'revived', 1)
  return 'retried'
end

local out = {}
for j = 1, a.n do
  local id = ARGV[j + 1]
  local at, letter, entry = locate(id)
  if a.to == 'retry' then
    out[j] = retry(id, at)
  elseif not at or (a.to == 'cancel' and at == 'dead' and not keepsKey(id)) then
    out[j] = 'not_found'
  else
    out[j] = vanish(id, at, letter, entry)
  end
end
return out
