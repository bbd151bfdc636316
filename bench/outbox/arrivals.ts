import type { RawRedis } from '../queue/systems/raw-redis.ts'
import type { ArrivalCheck } from './arrival-check.ts'
import type { OutboxSystem } from './system.ts'

/** The stream in which events arrive: entries `k` key, `d` payload. */
export const arrivalsKey = 'bench:arrivals'

type Entry = readonly [id: string, fields: readonly string[]]

const pageEntries = 2_000

/** Reads all that arrived, as it lies in Redis. */
export async function readArrivals(
  redis: RawRedis,
  system: Pick<OutboxSystem, 'readEvent'>,
  check: ArrivalCheck,
): Promise<void> {
  let from = '-'
  for (;;) {
    const page: Entry[] = await redis.send(['XRANGE', arrivalsKey, from, '+', 'COUNT', String(pageEntries)])
    for (const [, fields] of page) {
      const { n } = system.readEvent(fields[3] ?? '')
      check.record(keyOf(fields[1] ?? ''), n)
    }
    const last = page.at(-1)
    if (last === undefined || page.length < pageEntries) return
    from = `(${last[0]}`
  }
}

export async function countArrivals(redis: RawRedis): Promise<number> {
  return redis.send<number>(['XLEN', arrivalsKey])
}

/** The key that the writer gave; a job of a subscription has the subscription's name before it. */
function keyOf(text: string): string {
  return text.slice(text.indexOf('/') + 1)
}
