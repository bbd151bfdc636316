import { systemClock } from '../../../src/clock.ts'
import { createMoca, createWorker, handleEvent } from '../../../src/index.ts'
import { ConfirmedCounts } from '../../../src/queue/confirmed-counts.ts'
import { linkNamespace } from '../../../src/queue/link-namespace.ts'
import { LossDetector } from '../../../src/queue/loss-detector.ts'
import { Receiver } from '../../../src/queue/receiver/receiver.ts'
import type { RawRedis } from '../../queue/systems/raw-redis.ts'
import { readStream, withoutSubscription } from '../arrivals.ts'
import type { Arrivals, EventData, OutboxSystem } from '../system.ts'
import { complainingLogger, namespace, openMocaRelay, prepareMoca, subscription } from './moca-relay.ts'

const queue = `{moca:${namespace}}:q:default`
const gate = `{moca:${namespace}}:g:default:`

/** What waits in the queue: of each key one job in the stream, the others in the key's list, with their records in a hash. */
const arrivals: Arrivals = {
  count: async (redis) => Number(await redis.send<string | null>(['HGET', `${queue}:n`, 'accepted'])),

  async read(redis, onArrival) {
    for await (const [, [, , , options = '', , payload = '']] of readStream(redis, queue)) {
      const { k: key = '' } = JSON.parse(options) as { k?: string }
      onArrival(withoutSubscription(key), readEvent(payload))
    }
    for (const list of await redis.send<string[]>(['KEYS', `${gate}*`])) {
      for (const record of await readRecords(redis, list)) {
        // Flags, type, options, payload (src/queue/lua/prelude.lua).
        const payload = record.split('\n')[3] ?? ''
        onArrival(withoutSubscription(list.slice(gate.length)), readEvent(payload))
      }
    }
  },

  async openReader(redisPort, onArrival) {
    const client = createMoca({ namespace, redis: { url: `redis://127.0.0.1:${redisPort}` } })
    await client.connect()
    const handler = handleEvent(subscription, ({ job: { key = '' }, event }) =>
      onArrival(withoutSubscription(key), event.data as EventData),
    )
    const worker = createWorker(client, { handlers: [handler], concurrency: 100 })
    await worker.start()
    return {
      async stop() {
        await worker.stop()
        await client.close()
      },
    }
  },
}

export const moca: OutboxSystem = {
  name: 'moca',
  title: 'Moca',
  packages: ['mocajs', '@redis/client', 'pg'],
  settings: [
    'none: one subscription that gets every event as a job of its key; announced to listeners, of whom there are none',
    'where there is a handler, a worker with concurrency 100',
  ],
  backlogDivisor: 1,
  prepare: prepareMoca,
  arrivals,

  async openRelay({ databaseUrl, redisPort }) {
    const losses = new LossDetector(complainingLogger)
    const link = linkNamespace({
      redis: { url: `redis://127.0.0.1:${redisPort}`, connectTimeoutMs: 5_000, replyTimeoutMs: 10_000 },
      namespace,
      role: 'relay',
      losses,
      log: complainingLogger,
    })
    await link.ready(5_000)
    const counts = new ConfirmedCounts(losses)
    const receiver = new Receiver({ link, counts, clock: systemClock, maxWaiting: {}, timeoutMs: 5_000 })
    const relay = openMocaRelay({ databaseUrl, receiver })
    return {
      ...relay,
      async close() {
        await relay.close()
        await link.close()
      },
    }
  },
}

async function readRecords(redis: RawRedis, list: string): Promise<string[]> {
  const ids = await redis.send<string[]>(['LRANGE', list, '0', '-1'])
  return redis.send<string[]>(['HMGET', `${queue}:recs`, ...ids])
}

function readEvent(payload: string): EventData {
  return (JSON.parse(payload) as { data: EventData }).data
}
