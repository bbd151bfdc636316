import { setTimeout as wait } from 'node:timers/promises'
import type { Expectation, ImportRow } from './cities.ts'
import type { Progress, Step } from './progress.ts'

/** What Moca says of a queue. */
export interface Counts {
  readonly waiting: number
  readonly active: number
  readonly delayed: number
  readonly gated: number
  readonly dead: number
  readonly completed?: number
}

export interface Watched {
  readonly counts: () => Promise<Record<string, Counts>>
  readonly importedRows: () => number
  /** Cities that were written to PostgreSQL. */
  readonly writtenCities: () => number
  readonly isImportOver: () => boolean
  /** Whether everything that was recorded has come to the queue. */
  readonly isAllRelayed: () => Promise<boolean>
  readonly progress: Progress
  /** Name of a step -> how much it is in all. */
  readonly totals: Readonly<Record<string, number>>
  readonly signal: AbortSignal
}

const ROWS = 'rows imported'
const CITIES = 'cities written'
const LOOK_EVERY_MS = 200
const GIVE_UP_AFTER_MS = 30_000

/** Shows the progress until nothing is left to do, or nothing has moved for long: then the account will name what is left. */
export async function watchUntilSettled(watched: Watched): Promise<'settled' | 'stuck'> {
  const { counts, isImportOver, isAllRelayed, importedRows, writtenCities, progress, totals, signal } = watched
  let movedAt = performance.now()
  let last = ''
  for (;;) {
    // Asked before looking: what came last is then in the counts.
    const hasAllCome = isImportOver() && (await isAllRelayed().catch(() => false))
    const queues = await counts().catch(() => undefined) // Redis is away at the moment
    if (queues) {
      progress.show(steps(queues, { [ROWS]: importedRows(), [CITIES]: writtenCities() }, totals), describe(queues))
      // What is gated when nothing else is left of its queue waits behind a dead letter: the account knows whether it should.
      const left = sum(queues, ({ waiting, active, delayed }) => waiting + active + delayed)
      if (hasAllCome && left === 0) return 'settled'
      const now = JSON.stringify([importedRows(), writtenCities(), queues], (key, value: unknown) =>
        key === 'oldestWaitingMs' ? undefined : value,
      )
      if (now !== last) movedAt = performance.now()
      last = now
    }
    if (performance.now() - movedAt > GIVE_UP_AFTER_MS) return 'stuck'
    await wait(LOOK_EVERY_MS, undefined, { signal })
  }
}

/** Totals of the progress: the rows, and the jobs of each queue, as far as they are known before. */
export function totalsOf(rows: readonly ImportRow[], expectation: Expectation): Record<string, number> {
  const written = rows.filter(({ fate }) => fate !== 'refused').length
  const queueOf: Record<string, string> = { enrich: 'default', update: 'default', alert: 'critical', report: 'long' }
  const totals: Record<string, number> = { [ROWS]: rows.length, [CITIES]: written, default: 0, critical: 0, long: 0 }
  for (const business of [...expectation.completes, ...expectation.dies]) {
    const queue = queueOf[business.split(':')[0] ?? ''] ?? 'default'
    totals[queue] = (totals[queue] ?? 0) + 1
  }
  return totals
}

function steps(
  queues: Record<string, Counts>,
  done: Readonly<Record<string, number>>,
  totals: Watched['totals'],
): Step[] {
  return Object.entries(totals).map(([name, total]) => {
    const { waiting = 0, active = 0, delayed = 0, gated = 0, dead = 0, completed = 0 } = queues[name] ?? {}
    const ended = done[name] ?? completed + dead
    return { name, total: Math.max(total, ended + waiting + active + delayed + gated), done: ended }
  })
}

function describe(queues: Record<string, Counts>): string {
  const places = ['waiting', 'active', 'delayed', 'gated', 'dead'] as const
  return places.map((place) => `${place} ${sum(queues, (queue) => queue[place])}`).join('  ')
}

function sum(queues: Record<string, Counts>, of: (queue: Counts) => number): number {
  return Object.values(queues).reduce((total, queue) => total + of(queue), 0)
}
