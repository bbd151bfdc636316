import { randomFillSync } from 'node:crypto'
import { OptionError } from '../errors.ts'
import { describeValue } from './describe-value.ts'

/**
 * A job's id is `<queue>.<shard>.<place>`, so that the id alone tells where to look.
 * place = the id of its entry in the main stream (`1732464000000-5`) for a job that went there at once,
 * or `g` and 20 url-safe characters (40 bits of time, 80 of chance) for one that first stood elsewhere.
 */
export interface JobId {
  readonly queue: string
  readonly shard: number
  readonly place: string
}

const ID = /^([a-z][a-z0-9_-]*)\.(\d+)\.(\d+-\d+|g[\w-]{20})$/

export function formatJobId(queue: string, place: string): string {
  return `${queue}.0.${place}`
}

/** Undefined for a text that is no job id. */
export function parseJobId(text: string): JobId | undefined {
  const match = ID.exec(text)
  if (!match) return undefined
  return { queue: match[1] as string, shard: Number(match[2]), place: match[3] as string }
}

export function requireJobId(text: string): JobId {
  const id = parseJobId(text)
  if (id) return id
  throw new OptionError(`A job id looks like default.0.1732464000000-5; found ${describeValue(text)}`, {
    option: 'id',
    found: text,
  })
}

const pool = Buffer.alloc(10 * 256)
let used = pool.length

/** The place of a job that does not enter the main stream at once. Unique without asking the server. */
export function givenPlace(nowMs: number): string {
  if (used === pool.length) {
    randomFillSync(pool)
    used = 0
  }
  const chance = pool.subarray(used, used + 10)
  used += 10
  const time = Buffer.alloc(5)
  time.writeUIntBE(Math.floor(nowMs / 1000) % 2 ** 40, 0, 5)
  return `g${Buffer.concat([time, chance]).toString('base64url')}`
}

/** Attempts are told apart by the id of their stream entry and of the life of the server ("boot") in which they began. */
export function fenceOf(entryId: string, bootId: string): bigint {
  const entry = encode(entryId)
  const boot = encode(bootId)
  return entry > boot ? entry : boot
}

// ms * 2^20 + sequence fits a signed 64-bit integer until the year 2248. A sequence above 2^20 (a clock that stood still for
// a million jobs) carries into the milliseconds: still growing.
function encode(id: string): bigint {
  const dash = id.indexOf('-')
  return (BigInt(id.slice(0, dash)) << 20n) + BigInt(id.slice(dash + 1))
}

const QUEUE_NAME = /^[a-z][a-z0-9_-]{0,63}$/

/** Queue names stand in keys and ids: no dots, no braces. */
export function requireQueueName(name: string): string {
  // Not the pattern alone: it takes null for a queue of that name.
  if (typeof name === 'string' && QUEUE_NAME.test(name)) return name
  throw new OptionError(
    `A queue name is 1 to 64 of a-z 0-9 _ - and begins with a letter; found ${describeValue(name)}`,
    {
      option: 'queue',
      found: name,
    },
  )
}
