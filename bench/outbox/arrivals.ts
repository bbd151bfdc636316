import { RawRedis } from '../queue/systems/raw-redis.ts'
import type { Arrivals, EventData, OnArrival } from './system.ts'

/** A stream in which events arrive: entries `k` key, `d` payload. */
export const arrivalsKey = 'bench:arrivals'

export type Entry = readonly [id: string, fields: readonly string[]]

const pageEntries = 2_000

/** Arrivals in the stream `arrivalsKey`. `readEvent`: what the payload of an entry says. */
export function streamArrivals(readEvent: (payload: string) => EventData): Arrivals {
  const tell = (onArrival: OnArrival, [, [, key = '', , payload = '']]: Entry) =>
    onArrival(withoutSubscription(key), readEvent(payload))
  return {
    count: (redis) => redis.send<number>(['XLEN', arrivalsKey]),

    async read(redis, onArrival) {
      for await (const entry of readStream(redis, arrivalsKey)) tell(onArrival, entry)
    },

    async openReader(redisPort, onArrival) {
      const redis = await RawRedis.open(redisPort)
      const end = new AbortController()
      const reading = (async () => {
        type Reply = [[key: string, entries: Entry[]]] | null
        for (let after = '0'; !end.signal.aborted; ) {
          const reply: Reply = await redis.send([
            'XREAD',
            'COUNT',
            '500',
            'BLOCK',
            '200',
            'STREAMS',
            arrivalsKey,
            after,
          ])
          for (const entry of reply?.[0][1] ?? []) {
            after = entry[0]
            tell(onArrival, entry)
          }
        }
      })()
      return {
        async stop() {
          end.abort()
          await reading
          await redis.close()
        },
      }
    },
  }
}

/** All entries of a stream, in order. */
export async function* readStream(redis: RawRedis, key: string): AsyncGenerator<Entry> {
  for (let from = '-'; ; ) {
    const page: Entry[] = await redis.send(['XRANGE', key, from, '+', 'COUNT', String(pageEntries)])
    yield* page
    const last = page.at(-1)
    if (last === undefined || page.length < pageEntries) return
    from = `(${last[0]}`
  }
}

/** The key that the writer gave: a job of a subscription has the subscription's name before it. */
export function withoutSubscription(key: string): string {
  return key.slice(key.indexOf('/') + 1)
}
