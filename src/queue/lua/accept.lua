-- How scripts accept jobs with given ids (`--#accept`). None of them has the flag allow-oom: without memory nothing is accepted.

-- Takes jobs with given ids into a queue at the instant `at`: `accept` each (at most 1,000), then `finish`. The main stream gets its jobs
-- at once; what stands in hashes, sets and lists is written by `finish`, with one call each for all jobs.
local function intake(q, at)
  -- `soonest`: when the first of the delayed jobs falls due, ms.
  local it = {}
  local main = base(q)
  local dated = '{"at":' .. int(at) .. ','
  local holders, taken = {}, {}
  local notes, names, records = {}, {}, {}
  local lists, keys = {}, {}
  local nextId = nil

  -- As `add` does, with the instant and the floor looked up once.
  local function addToMain(t, o, d)
    local isFirst = not nextId
    if isFirst then
      local lowMs, lowSeq = floorOf(q)
      nextId = lowMs >= at and int(lowMs) .. '-' .. int(lowSeq + 1) or int(at) .. '-*'
    end
    local entry = pcall_('XADD', main, nextId, 't', t, 'o', o, 'd', d)
    local isBehind = type(entry) == 'table'
    if isBehind then entry = call('XADD', main, '*', 't', t, 'o', o, 'd', d) end
    if isFirst or isBehind then nextId = sub(entry, 1, find(entry, '-', 1, true)) .. '*' end
    return entry
  end

  local function holderOf(key)
    local holder = holders[key]
    if holder == nil then
      holder = call('HGET', main .. ':slots', key)
      holders[key] = holder
    end
    return holder
  end

  -- Looks up with one call who holds keys that will be asked for.
  function it.readHolders(asked)
    if #asked == 0 then return end
    local found = call('HMGET', main .. ':slots', unpack(asked))
    for j, key in ipairs(asked) do holders[key] = found[j] end
  end

  -- key, due (ms): nil = none. isLarge: its payload stands beside the stream.
  function it.accept(id, t, o, d, key, due, isLarge)
    -- The options of a job with a given id begin with it; the instant of acceptance is put before.
    o = dated .. sub(o, 2)
    if isLarge then
      call('SET', P .. 'p:' .. q .. ':' .. id, d)
      d = ''
    end
    if due and due > at then
      names[#names + 1], names[#names + 2] = int(due), id
      records[#records + 1], records[#records + 2] = id, record(key and 'k' or '', t, o, d)
      if not it.soonest or due < it.soonest then it.soonest = due end
      return
    end
    local holder = key and holderOf(key)
    if holder and holder ~= id then
      local list = lists[key]
      if not list then
        list = {}
        lists[key], keys[#keys + 1] = list, key
      end
      list[#list + 1] = id
      records[#records + 1], records[#records + 2] = id, record('k', t, o, d)
    else
      notes[#notes + 1], notes[#notes + 2] = id, 'm:' .. addToMain(t, o, d)
      if key then
        holders[key] = id
        taken[#taken + 1], taken[#taken + 2] = key, id
      end
    end
  end

  -- Nobody is let wait for a key before its slot is taken, and whoever is noted to stand in the stream has its slot. Names come before
  -- records: a name without a record is passed over, a record without a name would stay for ever.
  function it.finish()
    if #taken > 0 then call('HSET', main .. ':slots', unpack(taken)) end
    if #notes > 0 then call('HSET', main .. ':where', unpack(notes)) end
    for _, key in ipairs(keys) do call('RPUSH', P .. 'g:' .. q .. ':' .. key, unpack(lists[key])) end
    if #names > 0 then call('ZADD', main .. ':later', unpack(names)) end
    if #records > 0 then call('HSET', main .. ':recs', unpack(records)) end
  end

  return it
end
