#!lua
-- Accepts a numbered batch of an outbox, and notes its number: all of it or nothing. Refused as a whole when Redis is out of memory (no
-- allow-oom flag). The jobs come before the note: of what fails half way a batch may come twice, never not at all.
-- ARGV[1]: { unit: whose number it is, log: id of the log, n: number, epoch, rows, digest, and what receive.lua needs }
-- then jobs and announcements (receive.lua).
-- Returns { "applied", instant (ms), then per queue how many it has accepted so far } | { "done" } | { "full", queue }
--   | { "stale" | "forgot" | "ahead" | "foreign", what is noted of the unit or '' }.
--#prelude
--#accept
--#room
--#receive
local a = cjson.decode(ARGV[1])
local relay = P .. 'relay'
local found = call('HGET', relay, a.unit) or ''

-- What is noted decides: <log id> <n> <epoch> <rows> <digest>. Epochs and numbers of another log mean nothing here.
local function judge()
  local log, n, epoch, digest = string.match(found, '^(%S+) (%d+) (%d+) %d+ (%S*)$')
  n, epoch = tonumber(n or 0), tonumber(epoch or 0)
  if log and log ~= a.log then return 'foreign' end
  if epoch > a.epoch then return 'stale' end
  if n > a.n then return 'ahead' end
  -- An operator's note has no digest: whatever the batch was, it counts as done.
  if n == a.n then return (digest == '' or digest == a.digest) and 'done' or 'ahead' end
  return n == a.n - 1 and 'next' or 'forgot'
end

local word = judge()
if word == 'done' then return { word } end
if word ~= 'next' then return { word, found } end
local full = fullQueue(a)
if full then return { 'full', full } end

local at = now()
local counts, soonest = acceptAll(a, at)
call('HSET', relay, a.unit, table.concat({ a.log, int(a.n), int(a.epoch), int(a.rows), a.digest }, ' '))
tellAll(a, soonest)
return { 'applied', int(at), unpack(counts) }
