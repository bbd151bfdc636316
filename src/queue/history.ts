/**
 * The history of ended jobs: one stream entry per settled batch (an entry per job would cost two and a half times as much). Its field
 * `b` holds sections: a head with what the attempts have in common, `#<letter> <type> <outcome> <attempt> <keep ms> <instant>`, and a
 * line for each, `<entry> <start after that instant> <duration>[ <place>]` in ms, with its place where that is not the entry. settle.lua
 * reads the entries of completed attempts from the same text. Attempts that turned out to be stale are named in field `x` as
 * `<letter>:<entry>` and do not count.
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

/** What the attempts of a section have in common. */
export interface HistoryHead {
  readonly letter: string
  readonly type: string
  readonly outcome: OutcomeLetter
  readonly attempt: number
  readonly keepMs: number
  /** Instant from which their starts count (ms, server's clock). */
  readonly fromMs: number
}

export function historyHead({ letter, type, outcome, attempt, keepMs, fromMs }: HistoryHead): string {
  return `#${letter} ${type} ${outcome} ${attempt} ${keepMs} ${fromMs}`
}

/** `place`: where it is not the entry. */
export function historyLine(entry: string, afterMs: number, durationMs: number, place?: string): string {
  return place === undefined ? `${entry} ${afterMs} ${durationMs}` : `${entry} ${afterMs} ${durationMs} ${place}`
}

/** The lines of one entry of the history stream, without those of stale attempts. */
export function decodeHistory(text: string, stale: string): HistoryLine[] {
  const skipped = new Set(stale === '' ? [] : stale.split(' '))
  let head: HistoryHead | undefined
  return text.split('\n').flatMap((line) => {
    if (line.startsWith('#')) {
      head = decodeHead(line)
      return []
    }
    const [entry = '', afterMs, durationMs, place = entry] = line.split(' ')
    if (!head || skipped.has(`${head.letter}:${entry}`)) return []
    return {
      place,
      entry: `${head.letter}:${entry}`,
      type: head.type,
      outcome: OUTCOMES[head.outcome] ?? 'completed',
      attempt: head.attempt,
      startedAt: head.fromMs + Number(afterMs),
      durationMs: Number(durationMs),
      keepMs: head.keepMs,
    }
  })
}

function decodeHead(line: string): HistoryHead {
  const [letter = '', type = '', outcome = 'c', attempt, keepMs, fromMs] = line.slice(1).split(' ')
  return {
    letter,
    type,
    outcome: outcome as OutcomeLetter,
    attempt: Number(attempt),
    keepMs: Number(keepMs),
    fromMs: Number(fromMs),
  }
}
