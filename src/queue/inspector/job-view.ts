import { stackOf } from '../../job/control-flow.ts'
import { formatJobId } from '../../job/job-id.ts'
import { type EntryOptions, judgeOptions } from '../entry.ts'
import type { HistoryLine } from '../history.ts'
import { type JobOverrides, overridesOf } from '../job-overrides.ts'

/** Where a job stands. `gated`: it waits for its key. The last three: it ended, and the history still shows it. */
export type JobStatus = (typeof JOB_STATUSES)[number]

export const JOB_STATUSES = [
  'waiting',
  'active',
  'delayed',
  'gated',
  'dead',
  'completed',
  'cancelled',
  'expired',
] as const

/** A job as it stands. What does not apply, or is not kept any more, is undefined. */
export interface JobView {
  readonly id: string
  readonly queue: string
  readonly type: string | undefined
  readonly status: JobStatus
  /** Undefined for an ended job, and in lists for payloads over 16 KiB. */
  readonly payload: unknown
  readonly payloadBytes: number | undefined
  readonly key: string | undefined
  /** The number of the last attempt that was begun and is charged; 0 = never. */
  readonly attempt: number
  /** How often a worker died with it. */
  readonly stalls: number
  /** How often it was handed back by a worker that shut down or had fetched it too early. */
  readonly releases: number
  readonly headers: Readonly<Record<string, string>>
  /** What it does otherwise than its contract, by the call that enqueued it. */
  readonly overrides: JobOverrides | undefined
  /** By the server's clock, as every instant here. */
  readonly enqueuedAt: Date | undefined
  /** When a delayed job starts at the earliest. */
  readonly dueAt: Date | undefined
  readonly expiresAt: Date | undefined
  /** The first and the last seven failures. */
  readonly errors: readonly JobFailure[]
  /** Why and when a dead letter died. */
  readonly reason: string | undefined
  readonly diedAt: Date | undefined
  /** The worker session that has an active job, and how long ago (ms) it last renewed its lease. */
  readonly heldBy: string | undefined
  readonly renewedMsAgo: number | undefined
  /** Id of the job that a gated one waits for, and whether that is a dead letter that keeps the key; only `inspect` looks for it. */
  readonly waitsFor: string | undefined
  readonly isBlocked: boolean | undefined
  /** A dead letter that keeps its key: the jobs behind it wait until it is retried, cancelled or purged. */
  readonly keepsKey: boolean | undefined
  /** How many wait behind it; only `inspect` looks for them. */
  readonly waitingBehind: number | undefined
  readonly rescuedBy: string | undefined
  readonly rescuedAt: Date | undefined
  /** When the last attempt of an ended job ended, and how long it ran. */
  readonly endedAt: Date | undefined
  readonly durationMs: number | undefined
}

export interface JobFailure {
  readonly attempt: number
  readonly at: Date
  readonly message: string
  readonly stack: string | undefined
}

/** What is read of a job in one place: a stream entry or a record. */
export interface StoredJob {
  readonly queue: string
  /** Last part of its id. */
  readonly place: string
  readonly type: string
  readonly options: EntryOptions
  readonly payload: string
}

/** What only the place tells. */
export interface Standing {
  readonly status: JobStatus
  readonly dueAtMs?: number
  readonly heldBy?: string
  readonly renewedMsAgo?: number
  readonly waitsFor?: string | undefined
  readonly isBlocked?: boolean | undefined
  readonly keepsKey?: boolean
  readonly waitingBehind?: number | undefined
}

export function viewJob(job: StoredJob, standing: Standing): JobView {
  const { options } = job
  const acceptedAtMs = options.at ?? entryMs(job.place)
  const isLarge = options.p !== undefined && job.payload === ''
  return {
    id: formatJobId(job.queue, job.place),
    queue: job.queue,
    type: job.type,
    status: standing.status,
    payload: isLarge ? undefined : parsePayload(job.payload),
    payloadBytes: options.p ?? Buffer.byteLength(job.payload),
    key: options.k,
    attempt: (options.a ?? 0) + (standing.status === 'active' ? 1 : 0),
    stalls: options.s ?? 0,
    releases: options.r ?? 0,
    headers: parseHeaders(options.h),
    overrides: overridesOf(options),
    enqueuedAt: asDate(acceptedAtMs),
    dueAt: asDate(standing.dueAtMs),
    expiresAt: acceptedAtMs === undefined || options.x === undefined ? undefined : asDate(acceptedAtMs + options.x),
    errors: (options.er ?? []).map((er) => ({ attempt: er.n, at: new Date(er.at), message: er.m, stack: stackOf(er) })),
    reason: options.rs,
    diedAt: asDate(options.da),
    heldBy: standing.heldBy,
    renewedMsAgo: standing.renewedMsAgo,
    waitsFor: standing.waitsFor,
    isBlocked: standing.isBlocked,
    keepsKey: standing.keepsKey,
    waitingBehind: standing.waitingBehind,
    rescuedBy: options.rb,
    rescuedAt: asDate(options.ra),
    endedAt: undefined,
    durationMs: undefined,
  }
}

/** A job that ended, as its line in the history tells it. */
export function viewEnded(queue: string, line: HistoryLine): JobView {
  const stored = { queue, place: line.place, type: line.type, options: {}, payload: '' }
  return {
    ...viewJob(stored, { status: line.outcome }),
    payload: undefined,
    payloadBytes: undefined,
    attempt: line.attempt,
    endedAt: new Date(line.startedAt + line.durationMs),
    durationMs: line.durationMs,
  }
}

/** `keep.completed` of a job may be shorter than what the history holds. To the second is good enough for a view. */
export function isShown(line: HistoryLine): boolean {
  return line.startedAt + line.durationMs + line.keepMs >= Date.now()
}

/** Milliseconds of a stream entry's id; undefined for a place that is none. */
export function entryMs(place: string): number | undefined {
  return /^\d+-\d+$/.test(place) ? Number.parseInt(place, 10) : undefined
}

/** A record of a job outside the streams: flags, type, options, payload, divided by line breaks; the payload may hold some. */
export function parseRecord(text: string): { type: string; options: EntryOptions; payload: string } {
  const [flags = '', type = '', options = ''] = text.split('\n', 3)
  return { type, options: readOptions(options), payload: text.slice(flags.length + type.length + options.length + 3) }
}

/** Options without what is not readable: a view shows what it can. */
export function readOptions(text: string): EntryOptions {
  return judgeOptions(text).options
}

function parsePayload(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}

function parseHeaders(text: string | undefined): Record<string, string> {
  const headers = parsePayload(text ?? '{}')
  return typeof headers === 'object' && headers !== null ? (headers as Record<string, string>) : {}
}

/** Undefined, too, for a number that is no instant: an entry may come from anywhere. */
function asDate(ms: number | undefined): Date | undefined {
  const date = new Date(ms ?? Number.NaN)
  return Number.isNaN(date.getTime()) ? undefined : date
}
