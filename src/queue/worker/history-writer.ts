import { type Attempt, attemptNumber } from './attempt.ts'
import { historyHead, historyLine, type OutcomeLetter } from '../history.ts'
import type { StreamLetter } from '../keys.ts'

/** Attempts with the same head. */
export interface HistorySection {
  readonly letter: StreamLetter
  readonly type: string
  readonly outcome: OutcomeLetter
  readonly attempt: number
  readonly keepMs: number
  /** Their jobs' places are not their entries: settle.lua forgets where they stand. */
  readonly hasPlaces: boolean
  readonly fromMs: number
  readonly lines: string[]
}

/** Writes the history of one batch: attempts that end together mostly have all but three numbers in common. */
export class HistoryWriter {
  readonly sections: HistorySection[] = []
  /** The server's clock less the monotonic one (ms). */
  readonly #offsetMs: number
  #last: HistorySection | undefined

  constructor(offsetMs: number) {
    this.#offsetMs = offsetMs
  }

  add(attempt: Attempt, outcome: OutcomeLetter, keepMs: number): void {
    const { entry, place } = attempt
    const startedAt = Math.round(attempt.startedAtMs + this.#offsetMs)
    const section = this.#sectionFor(attempt, outcome, keepMs, startedAt)
    const durationMs = Math.round(attempt.endedAtMs - attempt.startedAtMs)
    section.lines.push(
      historyLine(entry, startedAt - section.fromMs, durationMs, section.hasPlaces ? place : undefined),
    )
  }

  #sectionFor(attempt: Attempt, outcome: OutcomeLetter, keepMs: number, fromMs: number): HistorySection {
    const { letter, type } = attempt
    const number = attemptNumber(attempt)
    const hasPlaces = attempt.place !== attempt.entry
    const fits = (section: HistorySection) =>
      section.type === type &&
      section.letter === letter &&
      section.hasPlaces === hasPlaces &&
      section.attempt === number &&
      section.outcome === outcome &&
      section.keepMs === keepMs
    if (this.#last && fits(this.#last)) return this.#last
    let found = this.sections.find(fits)
    if (!found) {
      found = { letter, type, outcome, attempt: number, keepMs, hasPlaces, fromMs, lines: [] }
      this.sections.push(found)
    }
    this.#last = found
    return found
  }
}

export function sectionText(section: HistorySection): string {
  return `${historyHead(section)}\n${section.lines.join('\n')}`
}
