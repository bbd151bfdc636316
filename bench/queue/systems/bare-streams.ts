import { setImmediate } from 'node:timers/promises'
import { sleep, wallClockMs } from '../../clock.ts'
import type { Payload } from '../payload.ts'
import type { Consumer, QueueSystem } from '../system.ts'
import { RawRedis } from './raw-redis.ts'

// No queue at all: the least that Redis Streams have to do to hand each job to one of several workers. It has no leases,
// retries, states, recovery or history; a worker that dies loses what it had read. It shows what the machine can give.

const batchSize = 500

// A script for the jobs of one call: as fast as their XADDs in one write where nobody reads meanwhile, and a fifth faster
// beside a worker (it is woken once, and the producer has less to write).
const addManyScript = `for i = 1, #ARGV do redis.call('XADD', KEYS[1], '*', 'd', ARGV[i]) end`

// Takes up to ARGV[2] members that are due at ARGV[1]. Returns how many it moved.
const promoteScript = `
local due = redis.call('ZRANGE', KEYS[1], '-inf', ARGV[1], 'BYSCORE', 'LIMIT', 0, ARGV[2])
for _, payload in ipairs(due) do redis.call('XADD', KEYS[2], '*', 'd', payload) end
if #due > 0 then redis.call('ZREMRANGEBYRANK', KEYS[1], 0, #due - 1) end
return #due`

type Entry = [id: string, fields: [name: string, payload: string]]

export const bareStreams: QueueSystem = {
  name: 'bare-streams',
  title: 'bare loop',
  packages: [],
  settings: [
    'a client of its own, which does nothing but write and read (raw-redis.ts)',
    'XADD; XREADGROUP COUNT 500, the next read under way while a batch runs; XACK + XDEL of each batch on a second connection',
    'many jobs: a script that does their XADDs',
    'delayed jobs: a sorted set of payloads, promoted 1,000 at a time by a script at the instant they are due',
  ],
  hasGivenIds: false,

  async openProducer({ port, queue }) {
    const client = await RawRedis.open(port)
    await createGroup(client, queue)
    return {
      async enqueue(payload) {
        await client.send(['XADD', queue, '*', 'd', JSON.stringify(payload)])
      },
      async enqueueMany(payloads, { dueAtMs } = {}) {
        const texts = payloads.map((payload) => JSON.stringify(payload))
        if (dueAtMs === undefined) {
          await client.send(['EVAL', addManyScript, '1', queue, ...texts])
        } else {
          const due = String(Math.ceil(dueAtMs))
          await client.send(['ZADD', laterKey(queue), ...texts.flatMap((text) => [due, text])])
        }
      },
      async counts() {
        const [entries, pending, delayed] = await Promise.all([
          client.send<number>(['XLEN', queue]),
          client.send<[number]>(['XPENDING', queue, 'w']).then(([count]) => count),
          client.send<number>(['ZCARD', laterKey(queue)]),
        ])
        return { waiting: entries - pending, active: pending, delayed }
      },
      close: () => client.close(),
    }
  },

  async openConsumer({ port, queue }, { concurrency, handler }) {
    const [reader, settler] = await Promise.all([RawRedis.open(port), RawRedis.open(port)])
    await createGroup(settler, queue)
    return new BareLoop({ reader, settler, queue, concurrency, handler })
  },
}

interface BareLoopDeps {
  readonly reader: RawRedis
  readonly settler: RawRedis
  readonly queue: string
  readonly concurrency: number
  readonly handler: (payload: Payload) => Promise<void>
}

class BareLoop implements Consumer {
  readonly #deps: BareLoopDeps
  #isStopped = false
  #loops: Promise<unknown> = Promise.resolve()

  constructor(deps: BareLoopDeps) {
    this.#deps = deps
  }

  async start(): Promise<void> {
    this.#loops = Promise.all([this.#work(), this.#promote()])
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#loops
    await Promise.all([this.#deps.reader.close(), this.#deps.settler.close()])
  }

  async #work(): Promise<void> {
    let next = this.#read()
    while (!this.#isStopped) {
      const entries = await next
      if (!this.#isStopped) next = this.#read()
      await this.#run(entries)
      this.#settle(entries)
    }
    await next
  }

  async #read(): Promise<Entry[]> {
    const { reader, queue } = this.#deps
    const reply = await reader.send<[stream: string, entries: Entry[]][] | null>([
      'XREADGROUP',
      'GROUP',
      'w',
      'c',
      'COUNT',
      String(batchSize),
      'BLOCK',
      '500',
      'STREAMS',
      queue,
      '>',
    ])
    return reply?.[0]?.[1] ?? []
  }

  async #run(entries: Entry[]): Promise<void> {
    const { concurrency, handler } = this.#deps
    let at = 0
    async function lane(): Promise<void> {
      while (at < entries.length) {
        const [, [, payload]] = entries[at++] as Entry
        await handler(JSON.parse(payload))
      }
    }
    await Promise.all(Array.from({ length: Math.min(concurrency, entries.length) }, lane))
  }

  #settle(entries: Entry[]): void {
    if (entries.length === 0) return
    const { settler, queue } = this.#deps
    const ids = entries.map(([id]) => id)
    void settler.send(['XACK', queue, 'w', ...ids])
    void settler.send(['XDEL', queue, ...ids])
  }

  /** Sleeps until shortly before the first delayed job, then spins to the instant. It learns of new ones every 100 ms. */
  async #promote(): Promise<void> {
    const { settler, queue } = this.#deps
    while (!this.#isStopped) {
      const [, score] = await settler.send<string[]>(['ZRANGE', laterKey(queue), '0', '0', 'WITHSCORES'])
      const dueMs = score === undefined ? Infinity : Number(score)
      const waitMs = dueMs - wallClockMs()
      if (waitMs > 100) {
        await sleep(Math.min(100, waitMs - 50))
        continue
      }
      if (waitMs > 2) await sleep(waitMs - 2)
      while (wallClockMs() < dueMs) await setImmediate()
      await this.#promoteDue()
    }
  }

  async #promoteDue(): Promise<void> {
    const { settler, queue } = this.#deps
    const due = String(Math.floor(wallClockMs()))
    let moved: number
    do {
      moved = await settler.send<number>(['EVAL', promoteScript, '2', laterKey(queue), queue, due, '1000'])
    } while (moved === 1000)
  }
}

function laterKey(queue: string): string {
  return `${queue}:later`
}

async function createGroup(client: RawRedis, queue: string): Promise<void> {
  try {
    await client.send(['XGROUP', 'CREATE', queue, 'w', '0', 'MKSTREAM'])
  } catch (error) {
    if (!String(error).includes('BUSYGROUP')) throw error
  }
}
