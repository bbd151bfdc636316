#!lua flags=allow-oom
-- Takes over attempts whose lease ended, from one stream: a page of at most `limit` entries.
-- ARGV[1]: { q: queue, s: letter, lease: ms, cursor: id, limit, consumer: the rescuer's, maxStalls, grace: ms or nil,
--   at: instant (ms) at which this was sent, by the server's clock as well as the sender knows it, within: ms that it may be off }
-- Each attempt by the lease of the worker that has it, as that worker registered it; `lease` is for those that nobody knows.
-- The first rescue is not charged (the job may only have been prefetched); from then on it is a suspect, whose entry is pending
-- only while it runs, and each further one is charged. An entry that is not one of a job is dead at once.
-- `grace`: jobs of a side stream that no worker has read so long are dead.
-- One that comes late does nothing: what held it up (a cut network, a server that hung, a clock that was set) aged everybody's leases.
-- Returns { next cursor ("0-0" = done), rescued, dead, then "<id> <consumer it was taken from>" ... }.
--#prelude
local a = cjson.decode(ARGV[1])
local q, letter = a.q, a.s
local key = stream(q, letter)
local out = { '0-0', 0, 0 }
local at = now()
if math.abs(at - a.at) > a.within then return out end

local leases, shortest = {}, a.lease
local registered = call('HGETALL', P .. 'workers:lease')
for j = 1, #registered, 2 do
  local lease = tonumber(registered[j + 1])
  leases[registered[j]] = lease
  if lease then shortest = math.min(shortest, lease) end
end
local function leaseOf(consumer) return leases[string.match(consumer, '^(.*)%.%d+$')] or a.lease end

-- Idle time goes on over a restart of the server: the living get one full lease to come back and renew.
local boot = call('XREVRANGE', P .. 'boots', '+', '-', 'COUNT', 1)[1]
local ageOfBoot = boot and at - tonumber(boot[2][6]) or math.huge

local pending = pcall_('XPENDING', key, GROUP, 'IDLE', int(shortest), a.cursor == '0-0' and '-' or '(' .. a.cursor, '+', a.limit)
if pending.err then return out end -- no such stream or group: nothing was ever read from it
if #pending == a.limit then out[1] = pending[#pending][1] end
for _, p in ipairs(pending) do
  local entry, owner, idle = p[1], p[2], p[3]
  local lease = leaseOf(owner)
  if idle >= lease and ageOfBoot >= lease then
    local t, o, d = readEntry(key, entry)
    if t then
      local opts, isSound = options(o)
      local id = opts.i or entry
      local charged = (opts.s or 0) > 0
      opts.i, opts.f, opts.s = id, entry, (opts.s or 0) + 1
      opts.rb, opts.ra = a.consumer, at
      if not opts.at then opts.at = idMs(entry) end
      if charged then opts.c = (opts.c or 0) + 1 end
      if not isSound then
        -- As a worker does that reads it.
        note(opts, { n = (opts.a or 0), at = at, m = 'The entry is not one of a job of this layout' })
        bury(q, letter, entry, id, t, opts, d, 'unreadable')
        out[3] = out[3] + 1
      elseif (opts.c or 0) >= a.maxStalls then
        note(opts, { n = (opts.a or 0), at = at, m = 'The worker ' .. owner .. ' died while it ran this job' })
        bury(q, letter, entry, id, t, opts, d, 'stalled')
        out[3] = out[3] + 1
      else
        place(q, backTo(opts), id, entry, t, cjson.encode(opts), d)
        -- A settlement may have failed half way, with its worker dead before it could send it again: the job is here and nowhere else.
        call('ZREM', base(q) .. ':later', id)
        call('ZREM', base(q) .. ':dead', id)
        call('HDEL', base(q) .. ':recs', id)
        removeEntry(q, letter, entry, nil)
        out[2] = out[2] + 1
      end
      out[#out + 1] = id .. ' ' .. owner
    else
      call('XACK', key, GROUP, entry) -- deleted behind our back (verify names it)
    end
  end
end
if out[2] > 0 then count(q, 'rescued', out[2]) end

if a.grace and sub(letter, 1, 1) == 't' then
  local groups = call('XINFO', 'GROUPS', key)
  local delivered = groups[1] and groups[1][8] or '0-0'
  for _, item in ipairs(call('XRANGE', key, '(' .. delivered, '+', 'COUNT', a.limit)) do
    local entry, f = item[1], item[2]
    local opts = options(f[4] or '')
    if at - (opts.ls or idMs(entry)) < a.grace then break end
    bury(q, letter, entry, opts.i or entry, f[2] or '?', opts, f[6] or '', 'no handler')
    out[3] = out[3] + 1
  end
end
return out
