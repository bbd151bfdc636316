#!lua
-- Accepts the jobs of an emitted event's subscriptions, and announces it. Refused as a whole when Redis is out of memory (no allow-oom
-- flag).
-- ARGV[1]: { v: version of the set of subscriptions that was asked, note: id of the note that the event tells of and that is forgotten
--   with it, or nil, and what receive.lua needs }
-- then jobs and announcements (receive.lua).
-- Returns { "published", instant (ms), then per queue how many it has accepted so far } | { "outdated" } | { "full", queue }
--   | { "gone" } (somebody else has told of the note).
--#prelude
--#accept
--#room
--#receive
local a = cjson.decode(ARGV[1])
if tonumber(call('HGET', P .. 'subscriptions', 'version') or 0) ~= a.v then return { 'outdated' } end
local notes = P .. 'notes'
if a.note and not holder(notes, a.note) then return { 'gone' } end
local full = fullQueue(a)
if full then return { 'full', full } end

local at = now()
local counts, soonest = acceptAll(a, at)
if a.note then
  call('XACK', notes, GROUP, a.note)
  call('XDEL', notes, a.note)
end
tellAll(a, soonest)
return { 'published', int(at), unpack(counts) }
