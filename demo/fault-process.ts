import { CLOCK_QUEUE, INTERVALS_MS } from './scheduled.ts'
import { openRaw, type RawRedis } from './raw-redis.ts'

// Damage done to a namespace by a process that is no part of Moca, with raw commands:
//   node demo/fault-process.ts entry-deleted|order-swapped|fire-doubled REDIS_URL NAMESPACE
// Waits for an opportunity, does it, and prints what it did.

/** Deletes an unread job without a key from the main stream. */
const DELETE_ENTRY = `
local groups = redis.pcall('XINFO', 'GROUPS', KEYS[1])
if groups.err or not groups[1] then return nil end
for _, entry in ipairs(redis.call('XREVRANGE', KEYS[1], '+', '(' .. groups[1][8], 'COUNT', 50)) do
  local o = entry[2][4]
  if not string.find(o, '"k":', 1, true) then
    redis.call('XDEL', KEYS[1], entry[1])
    return (o ~= '' and cjson.decode(o).i) or entry[1]
  end
end
return nil
`

/** Swaps two neighbours that wait for the same key and came in one call, so that their producer can tell which was first. */
const SWAP_ORDER = `
local function page(id)
  return string.match(redis.call('HGET', KEYS[2], id), '"subject":"(page%-%d+)%-[a-z]+"}$')
end
local ids = redis.call('LRANGE', KEYS[1], 0, -1)
for j = 2, #ids do
  if page(ids[j]) and page(ids[j]) == page(ids[j - 1]) then
    redis.call('LSET', KEYS[1], j - 2, ids[j])
    redis.call('LSET', KEYS[1], j - 1, ids[j - 1])
    return ids[j - 1] .. ' and ' .. ids[j]
  end
end
return nil
`

/** Enqueues once more what was fired last, as the script that fires does: a job with its headers, and a run in the history. */
const DOUBLE_FIRE = `
local run = redis.call('LINDEX', KEYS[1], 0)
local instant, rest, queue = string.match(run or '', '^(%d+) (%d+ enqueued) (%S+) ')
if not instant then return nil end
local headers = cjson.encode({ ['moca-schedule'] = ARGV[1], ['moca-scheduled-for'] = instant })
local entry = redis.call('XADD', KEYS[2], '*', 't', 'clock.tick', 'o', cjson.encode({ h = headers }), 'd', '{}')
redis.call('HINCRBY', KEYS[2] .. ':n', 'accepted', 1)
redis.call('LPUSH', KEYS[1], table.concat({ instant, rest, queue, entry }, ' '))
return instant .. ' as job ' .. entry
`

const GIVE_UP_MS = 60_000

const [fault, url = '', namespace = ''] = process.argv.slice(2)
const DAMAGES: Record<string, typeof deleteEntry> = {
  'entry-deleted': deleteEntry,
  'order-swapped': swapOrder,
  'fire-doubled': doubleFire,
}
const prefix = `{moca:${namespace}}:`
const redis = await openRaw(url)
try {
  console.log(await tryUntilDone(DAMAGES[fault ?? ''] ?? deleteEntry))
} finally {
  redis.close()
}

async function deleteEntry(redis: RawRedis): Promise<string | undefined> {
  const place = await redis.send<string | null>('EVAL', DELETE_ENTRY, 1, `${prefix}q:default`)
  return place === null ? undefined : `the entry of job default.0.${place} was deleted from its stream`
}

async function swapOrder(redis: RawRedis): Promise<string | undefined> {
  const [, gates] = await redis.send<[string, string[]]>('SCAN', 0, 'MATCH', `${prefix}g:default:*`, 'COUNT', 100_000)
  for (const gate of gates) {
    const swapped = await redis.send<string | null>('EVAL', SWAP_ORDER, 2, gate, `${prefix}q:default:recs`)
    if (swapped !== null) return `jobs ${swapped} (last parts of their ids) were swapped in ${gate}`
  }
  return undefined
}

async function doubleFire(redis: RawRedis): Promise<string | undefined> {
  // The one that fires least often: its history reaches back farthest.
  const [name] = Object.entries(INTERVALS_MS).reduce((a, b) => (b[1] > a[1] ? b : a))
  const keys = [`${prefix}runs:${name}`, `${prefix}q:${CLOCK_QUEUE}`]
  const done = await redis.send<string | null>('EVAL', DOUBLE_FIRE, keys.length, ...keys, name)
  return done === null ? undefined : `schedule ${name} was fired once more for ${done}`
}

async function tryUntilDone(damage: (redis: RawRedis) => Promise<string | undefined>): Promise<string> {
  const until = performance.now() + GIVE_UP_MS
  while (performance.now() < until) {
    const done = await damage(redis)
    if (done !== undefined) return done
  }
  throw new Error(`No opportunity for ${fault} within ${GIVE_UP_MS} ms`)
}
