import { MocaError } from '../../errors.ts'
import type { Announcement, JobReceiver, ReceivedJob } from '../../job/job-receiver.ts'
import { parseJobId } from '../../job/job-id.ts'
import type { LogRow } from '../log-row.ts'
import type { Batch, BatchFacts, Delivery, Prepared, Refusal, Sink } from './sink.ts'

/** What a batch becomes in Redis. */
export interface QueueContent {
  readonly jobs: readonly ReceivedJob[]
  readonly announcements: readonly Announcement[]
}

/** A subscription, as it was registered with a version of the set. */
export interface Registration {
  readonly name: string
  readonly since: number
}

/** Who gets an event: the set of subscriptions of a version. */
export interface FanOut {
  at(version: number): Promise<{
    jobsFor(row: LogRow, n: number, only?: Registration): readonly ReceivedJob[]
    topicsOf(row: LogRow): readonly string[]
  }>
}

/** One script holds up everybody else while it runs: it accepts at most so many jobs and bytes, but for a single event. */
const MOST_JOBS = 1_000
const MOST_BYTES = 8 * 1024 * 1024

/** Brings jobs, and events as jobs of their subscriptions, into the queue; announces events to whoever is listening. */
export class QueueSink implements Sink<QueueContent> {
  readonly name = 'queue'
  readonly #receiver: JobReceiver
  readonly #fanOut: FanOut

  constructor(receiver: JobReceiver, fanOut: FanOut) {
    this.#receiver = receiver
    this.#fanOut = fanOut
  }

  async prepare(
    rows: readonly LogRow[],
    { version, n, only, isIntended = false }: BatchFacts,
  ): Promise<Prepared<QueueContent>> {
    const set = await this.#fanOut.at(version)
    const jobs: ReceivedJob[] = []
    const announcements: Announcement[] = []
    const refused: Refusal[] = []
    let taken = 0
    let bytes = 0
    for (const row of rows) {
      const made = row.kind === 'job' ? (only ? [] : toJob(row)) : set.jobsFor(row, n, only)
      if (made) {
        bytes += made.length * row.bytes
        const isFull = jobs.length + made.length > MOST_JOBS || bytes > MOST_BYTES
        if (isFull && taken > 0 && !isIntended) break
        jobs.push(...made)
        if (row.kind === 'event' && !only)
          for (const topic of set.topicsOf(row)) announcements.push({ topic, text: row.payload })
      } else {
        refused.push({ seq: row.seq, reason: 'unreadable', error: `Row ${row.seq} of the log is no job` })
      }
      taken++
    }
    return { rows: rows.slice(0, taken), refused, content: { jobs, announcements } }
  }

  async deliver(batch: Batch<QueueContent>): Promise<Delivery> {
    const { lane, n, epoch, logId, rows, digest, content } = batch
    try {
      const answer = await this.#receiver.receive({ unit: String(lane), n, epoch, logId, rows, digest, ...content })
      switch (answer.status) {
        case 'applied':
        case 'done':
          return { status: 'taken' }
        case 'full':
          return { status: 'unavailable', reason: `Queue ${answer.queue} is full (maxWaiting)` }
        case 'forgot':
          return { status: 'forgot', n: answer.found?.n ?? 0 }
        default:
          return { status: answer.status, n: answer.found.n }
      }
    } catch (error) {
      if (error instanceof MocaError) return { status: 'unavailable', reason: error.message }
      throw error
    }
  }

  async positions(): Promise<
    ReadonlyMap<number, { readonly logId: string; readonly n: number; readonly digest: string }>
  > {
    const units = await this.#receiver.positions()
    return new Map(
      [...units].filter(([unit]) => /^\d+$/.test(unit)).map(([unit, position]) => [Number(unit), position]),
    )
  }

  async setPosition({
    logId,
    lane,
    n,
    epoch,
    digest,
  }: {
    logId: string
    lane: number
    n: number
    epoch: number
    digest: string
  }): Promise<void> {
    await this.#receiver.setPositions(new Map([[String(lane), { logId, n, epoch, rows: 0, digest }]]))
  }
}

/** A job was recorded as it is; undefined for a row that nothing of ours wrote. */
function toJob({ id, topic, type, options, payload, key, dueMs }: LogRow): readonly ReceivedJob[] | undefined {
  const place = parseJobId(id)?.place
  if (place === undefined || !options?.startsWith(`{"i":"${place}"`)) return undefined
  return [{ queue: topic, type, options, payload, place, key, dueMs }]
}
