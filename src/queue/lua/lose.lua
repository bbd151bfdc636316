#!lua flags=allow-oom
-- Notes that the server forgot jobs that it had accepted: a process compared its own mark with the boot that follows its own life.
-- Several processes report the same loss; the one that saw most is right (the others know only a lower bound).
-- ARGV[1]: { boot: id of the boot after which they are missing, q: queue, lost, from: ms, to: ms }
-- Returns "new" when this report raised what is known, else "known".
--#prelude
local a = cjson.decode(ARGV[1])
local losses = P .. 'losses'
local text = call('HGET', losses, a.boot)
local known = text and cjson.decode(text) or {}
local mine = known[a.q]
if mine and mine.lost >= a.lost then return 'known' end
-- First: what fails half way is told twice, never not at all.
tell('loss', a.q, 'lost', int(a.lost), 'from', int(a.from), 'to', int(a.to), 'boot', a.boot, 'at', int(now()))
known[a.q] = { lost = a.lost, from = a.from, to = a.to, noticed = now() }
call('HSET', losses, a.boot, cjson.encode(known))
return 'new'
