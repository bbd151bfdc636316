#!lua
-- Takes instants of schedules, and enqueues their jobs into one queue. An instant is taken once: it must be after the last one that its
-- schedule's note in `fires` names. Refused as a whole when Redis is out of memory (no allow-oom flag). The jobs come before the notes: of
-- what fails half way a job may come twice, never not at all.
-- ARGV[1]: { q: queue, n: fires, max: most waiting or nil, o: who must lead, or nil }
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
  names[i] = ARGV[2 + (i - 1) * VALUES]
  fields[i] = 's:' .. names[i]
  ids[i] = ARGV[2 + (i - 1) * VALUES + 8]
end
local definitions = call('HMGET', P .. 'schedules', unpack(fields))
local notes = call('HMGET', P .. 'fires', unpack(names))
-- What was half done before stands there already, and is not accepted twice.
local entries = call('HMGET', base(q) .. ':where', unpack(ids))
local records = call('HMGET', base(q) .. ':recs', unpack(ids))
-- Of this call, by schedule: the last instant, and queue and id of the last job.
local last = {}
for i, name in ipairs(names) do
  local instant, job = string.match(notes[i] or '', '^(%d+) (.*)$')
  last[name] = last[name] or { tonumber(instant or 0), job or '' }
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
  if act == 'trigger' then return definitions[i] and 'enqueued' or 'changed' end
  if not definitions[i] or string.match(definitions[i], '^(%d+) 1 ') ~= version then return 'changed' end
  if instant > at then return 'early' end
  if instant <= last[name][1] then return 'done' end
  if act == 'pass' then return 'passed' end
  return act == 'unless_busy' and isUnderWay(last[name][2]) and 'busy' or 'enqueued'
end

local counters = base(q) .. ':n'
local before = tonumber(call('HGET', counters, 'accepted') or 0)
if before == 0 then register(q) end
local taking, accepted = intake(q, at), 0
local out, runs = { 'fired', int(at), 0 }, {}
for i = 1, a.n do
  local from = 2 + (i - 1) * VALUES
  local name, act, instant = names[i], ARGV[from + 3], tonumber(ARGV[from + 2])
  local word = judge(i, name, ARGV[from + 1], instant, act)
  out[i + 3] = word
  if word == 'enqueued' then
    local id, key, due = ARGV[from + 8], ARGV[from + 9], tonumber(ARGV[from + 10])
    local isLarge = find(ARGV[from + 6], '"p":', 1, true) ~= nil
    if not entries[i] and not records[i] then
      taking.accept(id, ARGV[from + 5], ARGV[from + 6], ARGV[from + 7], key ~= '' and key or nil, due, isLarge)
      accepted = accepted + 1
    end
    last[name][2] = q .. ' ' .. id
  end
  if word == 'enqueued' or word == 'busy' or word == 'passed' then
    if act ~= 'trigger' then last[name][1] = instant end
    local about = word == 'enqueued' and last[name][2] or ARGV[from + 4]
    runs[#runs + 1] = { name, table.concat({ int(instant), int(at), act == 'trigger' and 'triggered' or word, about }, ' ') }
  end
end
taking.finish()
out[3] = before + accepted
if accepted > 0 then call('HSET', counters, 'accepted', int(out[3]), 'acceptedAt', int(at)) end
local written = {}
for _, run in ipairs(runs) do written[run[1]] = int(last[run[1]][1]) .. ' ' .. last[run[1]][2] end
local flat = {}
for name, note_ in pairs(written) do flat[#flat + 1], flat[#flat + 2] = name, note_ end
if #flat > 0 then call('HSET', P .. 'fires', unpack(flat)) end
for _, run in ipairs(runs) do
  local key = P .. 'runs:' .. run[1]
  -- Not trimmed by one each time, which costs as much as the line itself.
  if call('LPUSH', key, run[2]) >= RUNS * 2 then call('LTRIM', key, 0, RUNS - 1) end
end
if taking.soonest then wake(q, taking.soonest) end
return out
