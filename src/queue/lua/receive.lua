-- What relay and publish share (`--#receive`, after `--#accept` and `--#room`): jobs of several queues, accepted at one instant, and
-- announcements.
-- Of the header: { q: [[queue, jobs, most waiting or nil]], big: [which jobs (from 1) have a payload beside the stream], say: announcements }
-- then per job six values, the queues one after another: type, options (JSON object text that begins with its id), payload, id, key or '',
--   instant at which it is due (ms) or '';
-- then per announcement two or three: topic, and the number (from 1) of the job whose payload is its text; or topic, '' and the text.

local VALUES = 6

-- The first queue that has no room; nil when all have. A batch that finds room for one job goes in whole: else one that is larger than
-- `max` would wait for ever.
local function fullQueue(a)
  for _, each in ipairs(a.q) do
    local q, jobs, max = each[1], each[2], each[3]
    if max and jobs > 0 and waitingIn(q) >= max then return q end
  end
  return nil
end

-- Accepts the jobs of one queue whose values begin at ARGV[from]; those that stand in it already are passed over, so that what is sent
-- once more is there once. Returns how many were accepted, and when the first of the delayed ones falls due (ms; nil = none is).
local function acceptSome(q, jobs, from, isBig, at)
  local ids, keys = {}, {}
  for j = 1, jobs do
    local i = from + (j - 1) * VALUES
    ids[j] = ARGV[i + 3]
    if ARGV[i + 4] ~= '' then keys[#keys + 1] = ARGV[i + 4] end
  end
  local entries = call('HMGET', base(q) .. ':where', unpack(ids))
  local records = call('HMGET', base(q) .. ':recs', unpack(ids))
  local taking = intake(q, at)
  taking.readHolders(keys)
  local accepted, known = 0, {}
  for j = 1, jobs do
    if not entries[j] and not records[j] and not known[ids[j]] then
      known[ids[j]] = true
      local i = from + (j - 1) * VALUES
      local key, due = ARGV[i + 4], ARGV[i + 5]
      taking.accept(ids[j], ARGV[i], ARGV[i + 1], ARGV[i + 2], key ~= '' and key or nil, tonumber(due), isBig(j))
      accepted = accepted + 1
    end
  end
  taking.finish()
  return accepted, taking.soonest
end

-- Accepts all jobs. Returns how many each queue has accepted so far, and, by queue, when the first of the delayed ones falls due.
local function acceptAll(a, at)
  local big, counts, soonest = {}, {}, {}
  for _, j in ipairs(a.big) do big[j] = true end
  local done = 0
  for index, each in ipairs(a.q) do
    local q, jobs = each[1], each[2]
    local counters = base(q) .. ':n'
    -- Before the first job: it has an id above the boot, too.
    local before = tonumber(call('HGET', counters, 'accepted') or 0)
    if before == 0 then register(q) end
    local accepted, first = acceptSome(q, jobs, 2 + done * VALUES, function(j) return big[done + j] end, at)
    counts[index], soonest[q] = before + accepted, first
    if accepted > 0 then call('HSET', counters, 'accepted', int(counts[index]), 'acceptedAt', int(at)) end
    done = done + jobs
  end
  return counts, soonest
end

-- Tells those who listen: timers of workers, and listeners to topics. Last of all: what it tells of must be there.
local function tellAll(a, soonest)
  local from = 2
  for _, each in ipairs(a.q) do
    local q, jobs = each[1], each[2]
    if soonest[q] then wake(q, soonest[q]) end
    from = from + jobs * VALUES
  end
  for _ = 1, a.say do
    local topic, job, text = ARGV[from], ARGV[from + 1], nil
    if job == '' then
      text, from = ARGV[from + 2], from + 3
    else
      text, from = ARGV[2 + (job - 1) * VALUES + 2], from + 2
    end
    call('PUBLISH', P .. 'events:' .. topic, text)
  end
end
