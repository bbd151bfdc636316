import type { HandlerContext, JobInfo } from '../../job/job.ts'
import { fenceOf, formatJobId } from '../../job/job-id.ts'
import { scheduledRunOf } from '../../job/scheduled.ts'
import type { Logger } from '../../logger.ts'
import { type Attempt, attemptNumber } from './attempt.ts'

/** What a handler gets. Made for every attempt, so everything that costs is made when it is asked for. */
export class AttemptContext implements HandlerContext {
  readonly payload: unknown
  readonly #attempt: Attempt
  readonly #log: Logger
  #job: JobInfo | undefined
  #attemptLog: Logger | undefined

  constructor(attempt: Attempt, payload: unknown, log: Logger) {
    this.#attempt = attempt
    this.payload = payload
    this.#log = log
  }

  get attempt(): number {
    return attemptNumber(this.#attempt)
  }

  get signal(): AbortSignal {
    this.#attempt.controller ??= new AbortController()
    return this.#attempt.controller.signal
  }

  get fence(): bigint {
    return fenceOf(this.#attempt.entry, this.#attempt.bootId)
  }

  get job(): JobInfo {
    this.#job ??= describeJob(this.#attempt)
    return this.#job
  }

  get log(): Logger {
    const { type } = this.#attempt
    this.#attemptLog ??= this.#log.child({ jobId: this.job.id, jobType: type, attempt: this.attempt })
    return this.#attemptLog
  }
}

function describeJob({ lane, place, type, options, entry }: Attempt): JobInfo {
  const headers = options.h === undefined ? {} : (JSON.parse(options.h) as Record<string, string>)
  const enqueuedAt = new Date(options.at ?? Number.parseInt(entry, 10))
  return Object.freeze({
    id: formatJobId(lane.queue, place),
    type,
    queue: lane.queue,
    key: options.k,
    headers,
    schedule: scheduledRunOf(headers, enqueuedAt.getTime()),
    enqueuedAt,
    stalls: options.s ?? 0,
    releases: options.r ?? 0,
  })
}
