/**
 * The history of ended jobs: one stream entry per settled batch (an entry per job would cost two and a half times as much), its
 * field `b` one line per job. Lines of attempts that turned out to be stale are named in field `x` and do not count.
 */
export interface HistoryLine {
  /** The last part of the job's id. */
  readonly place: string
  readonly type: string
  readonly outcome: 'completed' | 'cancelled' | 'expired'
  readonly attempt: number
  /** By the server's clock, as well as this process knows it (ms). */
  readonly startedAt: number
  readonly durationMs: number
  /** How long it is shown after its end (ms). */
  readonly keepMs: number
  /** `<letter>:<entry>` of the attempt. */
  readonly entry: string
}

const OUTCOMES = { c: 'completed', x: 'cancelled', e: 'expired' } as const
export type OutcomeLetter = keyof typeof OUTCOMES

/** One line; fields by position, and the place left out where the entry says it: the hot path writes one per job. */
export function historyLine(
  place: string,
  entry: string,
  type: string,
  outcome: OutcomeLetter,
  attempt: number,
  startedAt: number,
  durationMs: number,
  keepMs: number,
): string {
  const isItsEntry = entry.endsWith(place) && entry[entry.length - place.length - 1] === ':'
  return `${isItsEntry ? '-' : place} ${entry} ${type} ${outcome} ${attempt} ${startedAt} ${durationMs} ${keepMs}`
}

/** The lines of one entry of the history stream, without those of stale attempts. */
export function decodeHistory(lines: string, stale: string): HistoryLine[] {
  const skipped = new Set(stale === '' ? [] : stale.split(' '))
  return lines.split('\n').flatMap((line) => {
    const [place = '', entry = '', type = '', outcome = 'c', attempt, startedAt, durationMs, keepMs] = line.split(' ')
    if (skipped.has(entry)) return []
    return {
      place: place === '-' ? entry.slice(entry.lastIndexOf(':') + 1) : place,
      entry,
      type,
      outcome: OUTCOMES[outcome as OutcomeLetter] ?? 'completed',
      attempt: Number(attempt),
      startedAt: Number(startedAt),
      durationMs: Number(durationMs),
      keepMs: Number(keepMs),
    }
  })
}
