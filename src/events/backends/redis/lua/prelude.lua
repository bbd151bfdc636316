-- What the scripts of the registry begin with (scripts.ts).
-- KEYS[1]: the prefix of the namespace, `{moca:<namespace>}:`. ARGV[1]: the layout that the caller knows.
-- The hash `subscriptions`: field `version`, `s:<name>` -> "<since> <definition, JSON>", and `x:<name>` of one that was taken out.
local P = KEYS[1]
local call = redis.call

-- 'none' = a server that forgot everything: open the namespace again.
local layout = call('GET', P .. 'layout')
if layout ~= ARGV[1] then return redis.error_reply('MOCALAYOUT ' .. (layout or 'none')) end

local KEY = P .. 'subscriptions'
local version = tonumber(call('HGET', KEY, 'version') or '0')

local function int(n) return string.format('%.0f', n) end

-- The version after this one. By the clock, so that a server that forgot does not give the numbers of an earlier life to other sets.
local function nextVersion()
  local t = call('TIME')
  return int(math.max(version + 1, t[1] * 1000 + math.floor(t[2] / 1000)))
end
