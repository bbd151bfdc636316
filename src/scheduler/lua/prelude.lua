-- What the scripts of schedules begin with (scripts.ts).
-- KEYS[1]: the prefix of the namespace, `{moca:<namespace>}:`. ARGV[1]: the layout that the caller knows.
-- The hash `schedules`: `version` of the set, `epoch` of its leader, and `s:<name>` -> "<version> <1 enabled | 0> <definition, JSON>".
-- The hash `fires`: name -> "<last instant, ms> <queue and id of the last job>" (queue/lua/fire.lua).
-- `leader`: "<epoch> <owner>", with the time that its lock has left.
local P = KEYS[1]
local call = redis.call

-- 'none' = a server that forgot everything: open the namespace again.
local layout = call('GET', P .. 'layout')
if layout ~= ARGV[1] then return redis.error_reply('MOCALAYOUT ' .. (layout or 'none')) end

local KEY, FIRES = P .. 'schedules', P .. 'fires'

local function int(n) return string.format('%.0f', n) end

local function now()
  local t = call('TIME')
  return t[1] * 1000 + math.floor(t[2] / 1000)
end

-- The number after the one in a field. By the clock, so that a server that forgot does not give the numbers of an earlier life again.
local function nextNumber(field)
  local present = tonumber(call('HGET', KEY, field) or '0')
  local after = int(math.max(present + 1, now()))
  call('HSET', KEY, field, after)
  return after
end

-- version (text), '1' | '0', definition (text); nil when there is none.
local function read(name)
  return string.match(call('HGET', KEY, 's:' .. name) or '', '^(%d+) ([01]) (.*)$')
end

-- What comes before now is not made up for.
local function beginNow(name)
  local job = string.match(call('HGET', FIRES, name) or '', '^%d+ (.*)$')
  call('HSET', FIRES, name, int(now()) .. ' ' .. (job or ''))
end

local function remove(name)
  call('HDEL', KEY, 's:' .. name)
  call('HDEL', FIRES, name)
  call('DEL', P .. 'runs:' .. name)
end
