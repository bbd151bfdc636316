#!lua flags=allow-oom
-- All that a namespace holds of one queue, at one instant, with what the scripts published since the last look.
-- KEYS[1]: prefix of the namespace. ARGV[1]: queue.
-- Returns one JSON object, read by picture.ts. (cjson writes an empty list as {}.)
local P, q = KEYS[1], ARGV[1]
local base = 'q:' .. q
local out = { streams = {}, gates = {}, payloads = {}, markers = {}, strange = {}, relay = {}, notes = {} }

local parts = { later = 'ZRANGE', dead = 'ZRANGE', recs = 'HGETALL', where = 'HGETALL', slots = 'HGETALL', n = 'HGETALL', sides = 'SMEMBERS' }
local letters = { [base] = 'm', [base .. ':front'] = 'f', [base .. ':suspect'] = 's', [base .. ':alone'] = 'a' }
local known = { layout = true, queues = true, boots = true, losses = true, workers = true, ['workers:seen'] = true,
  ['workers:lease'] = true, floor = true, ['workers:alone'] = true, subscriptions = true, model = true,
  [base .. ':done'] = true }

local function lookAtStream(key)
  local s = { entries = {}, pending = {}, delivered = '0-0', last = redis.call('XINFO', 'STREAM', key)[8] }
  for j, e in ipairs(redis.call('XRANGE', key, '-', '+')) do s.entries[j] = { e[1], e[2][2], e[2][4], e[2][6] } end
  local groups = redis.pcall('XINFO', 'GROUPS', key)
  if not groups.err and groups[1] then
    s.delivered = groups[1][8]
    for j, p in ipairs(redis.call('XPENDING', key, 'w', '-', '+', 1000)) do s.pending[j] = { p[1], p[2], p[3] } end
  end
  return s
end

for _, key in ipairs(redis.call('KEYS', P .. '*')) do
  local name = string.sub(key, #P + 1)
  local kind = string.sub(name, 1, 2)
  local part = string.sub(name, 1, #base + 1) == base .. ':' and string.sub(name, #base + 2) or nil
  if letters[name] then out.streams[letters[name]] = lookAtStream(key)
  elseif part and string.sub(part, 1, 2) == 't:' then out.streams['t' .. string.sub(part, 3)] = lookAtStream(key)
  elseif part and parts[part] == 'ZRANGE' then out[part] = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  elseif part and parts[part] then out[part] = redis.call(parts[part], key)
  elseif name == 'notes' then
    for j, e in ipairs(redis.call('XRANGE', key, '-', '+')) do out.notes[j] = { e[2][6], e[2][10] } end
  elseif name == 'relay' then out.relay = redis.call('HGETALL', key)
  elseif kind == 'g:' then out.gates[string.sub(name, #q + 4)] = redis.call('LRANGE', key, 0, -1)
  elseif kind == 'p:' then table.insert(out.payloads, string.sub(name, #q + 4))
  elseif kind == 'u:' then table.insert(out.markers, string.sub(name, 3))
  elseif not known[name] then table.insert(out.strange, name) end
end
local model = redis.call('HGETALL', P .. 'model')
for j = 1, #model, 2 do out[model[j]] = model[j + 1] end
if #model > 0 then redis.call('DEL', P .. 'model') end
return cjson.encode(out)
