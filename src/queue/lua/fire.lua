#!lua
-- Takes instants of schedules, and enqueues their jobs into one queue. An instant is taken once: it must be after the last one that its
-- schedule's note in `fires` names. Refused as a whole when Redis is out of memory (no allow-oom flag). The jobs come before the notes: of
-- what fails half way a job may come twice, never not at all.
-- ARGV[1]: { q: queue, n: fires, max: most waiting or nil, o: who must lead, or nil, l: true = large payloads are among them }
-- then per fire eleven values: schedule, version of its definition, instant (ms), act ("enqueue" | "unless_busy" | "pass" | "trigger"),
--   first missed instant with "pass", type, options (JSON object text that begins with the id), payload, id, key or '',
--   instant at which the job is due (ms) or ''
-- Returns { "fired", instant (ms), accepted so far, then per fire "enqueued" | "done" | "changed" | "early" | "busy" | "passed" }
--   | { "standby" } | { "full" }
--#prelude
--#accept
--#room
local a = cjson.decode(ARGV[1])
local VALUES, RUNS = 11, 20
local q = a.q
if a.o and string.match(call('GET', P .. 'leader') or '', '^%d+ (.*)$') ~= a.o then return { 'standby' } end
if a.max and waitingIn(q) >= a.max then return { 'full' } end
local at = now()

local fields, names, ids = {}, {}, {}
for i = 1, a.n do
  local from = 2 + (i - 1) * VALUES
  names[i], ids[i] = ARGV[from], ARGV[from + 8]
  fields[i] = 's:' .. names[i]
end
local definitions = call('HMGET', P .. 'schedules', unpack(fields))
local notes = call('HMGET', P .. 'fires', unpack(names))
-- What was half done before stands there already, and is not accepted twice.
local entries = call('HMGET', base(q) .. ':where', unpack(ids))
local records = call('HMGET', base(q) .. ':recs', unpack(ids))
-- Of this call, by schedule: the last instant as a text, and queue and id of the last job.
local lastInstant, lastJob = {}, {}
for i, name in ipairs(names) do
  local note = notes[i]
  local space = note and find(note, ' ', 1, true)
  lastInstant[name] = space and sub(note, 1, space - 1) or '0'
  lastJob[name] = space and sub(note, space + 1) or ''
end

-- Whether a job stands anywhere, other than among the dead letters.
local function isUnderWay(job)
  local queue, id = string.match(job, '^(%S+) (%S+)$')
  if not queue then return false end
  if call('HEXISTS', base(queue) .. ':where', id) == 1 then return true end
  if call('HEXISTS', base(queue) .. ':recs', id) == 0 then return false end
  return not call('ZSCORE', base(queue) .. ':dead', id)
end

local function judge(i, name, version, instant, act)
  local definition = definitions[i]
  if act == 'trigger' then return definition and 'enqueued' or 'changed' end
  local enabled = version .. ' 1 '
  if not definition or sub(definition, 1, #enabled) ~= enabled then return 'changed' end
  local ms = tonumber(instant)
  if ms > at then return 'early' end
  if ms <= tonumber(lastInstant[name]) then return 'done' end
  if act == 'pass' then return 'passed' end
  return act == 'unless_busy' and isUnderWay(lastJob[name]) and 'busy' or 'enqueued'
end

local counters = base(q) .. ':n'
local before = tonumber(call('HGET', counters, 'accepted') or 0)
if before == 0 then register(q) end
local taking, accepted = intake(q, at), 0
local atText, jobPrefix = int(at), q .. ' '
local out, ran, lines = { 'fired', atText, 0 }, {}, {}
for i = 1, a.n do
  local from = 2 + (i - 1) * VALUES
  local name, instant, act = names[i], ARGV[from + 2], ARGV[from + 3]
  local word = judge(i, name, ARGV[from + 1], instant, act)
  out[i + 3] = word
  local isEnqueued = word == 'enqueued'
  if isEnqueued then
    local id, key = ids[i], ARGV[from + 9]
    if not entries[i] and not records[i] then
      local options = ARGV[from + 6]
      local isLarge = a.l and find(options, '"p":', 1, true) ~= nil
      taking.accept(id, ARGV[from + 5], options, ARGV[from + 7], key ~= '' and key or nil, tonumber(ARGV[from + 10]), isLarge)
      accepted = accepted + 1
    end
    lastJob[name] = jobPrefix .. id
  end
  if isEnqueued or word == 'busy' or word == 'passed' then
    if act ~= 'trigger' then lastInstant[name] = instant end
    ran[#ran + 1] = name
    lines[#ran] = instant .. ' ' .. atText .. ' ' .. (act == 'trigger' and 'triggered' or word) .. ' '
      .. (isEnqueued and lastJob[name] or ARGV[from + 4])
  end
end
taking.finish()
out[3] = before + accepted
if accepted > 0 then call('HSET', counters, 'accepted', int(out[3]), 'acceptedAt', atText) end
local flat = {}
for i, name in ipairs(ran) do flat[i * 2 - 1], flat[i * 2] = name, lastInstant[name] .. ' ' .. lastJob[name] end
if #flat > 0 then call('HSET', P .. 'fires', unpack(flat)) end
for i, name in ipairs(ran) do
  local key = P .. 'runs:' .. name
  -- Not trimmed by one each time, which costs as much as the line itself.
  if call('LPUSH', key, lines[i]) >= RUNS * 2 then call('LTRIM', key, 0, RUNS - 1) end
end
if taking.soonest then wake(q, taking.soonest) end
return out
