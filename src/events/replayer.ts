import { randomUUID } from 'node:crypto'
import { ConnectionError, OptionError } from '../errors.ts'
import type { JobReceiver, ReceivedJob } from '../job/job-receiver.ts'
import type { EncodedEvent } from './event.ts'
import type { EventHistory, HistoryFilter } from './event-history.ts'
import { jobFor, SubscriptionSet } from './fan-out.ts'
import type { SubscriptionRegistry } from './subscription-registry.ts'

export interface ReplayOptions extends HistoryFilter {
  /** Only for this subscription. Default: all that ask for them now. */
  readonly subscription?: string | undefined
  /** Only count. */
  readonly dryRun?: boolean
}

export interface ReplayResult {
  /** Events that a subscription asks for. */
  readonly events: number
  /** Jobs that were made of them: one per event and subscription. */
  readonly jobs: number
}

export interface ReplayerDeps {
  readonly history: Pick<EventHistory, 'read'>
  readonly receiver: Pick<JobReceiver, 'publish'>
  /** Whose version the receiver compares. */
  readonly registry: Pick<SubscriptionRegistry, 'list'>
}

const MOST_JOBS = 1_000
const MOST_TRIES = 5

/** Sends recorded events again: as new jobs of those who ask for them now, behind what they have. Nobody who only listens hears them. */
export class Replayer {
  readonly #deps: ReplayerDeps
  /** Two replays of one event are two jobs. */
  readonly #id = randomUUID()
  readonly #options: ReplayOptions
  #events = 0
  #jobs = 0

  constructor(deps: ReplayerDeps, options: ReplayOptions) {
    this.#deps = deps
    this.#options = options
  }

  get #result(): ReplayResult {
    return { events: this.#events, jobs: this.#jobs }
  }

  /** What was sent before it is interrupted stays sent, as `onProgress` told last. Rejects with OptionError for a subscription that there is none, QueueFullError, or ConnectionError. */
  async run(onProgress: (result: ReplayResult) => void = () => {}): Promise<ReplayResult> {
    let set = await this.#loadSet()
    for await (const page of this.#deps.history.read(this.#options)) {
      let rest = page
      for (let tries = 1; rest.length > 0; ) {
        const { count, events, jobs } = this.#takePart(set, rest)
        if (jobs.length > 0 && !(await this.#send(set.version, jobs))) {
          if (tries++ === MOST_TRIES) throw new ConnectionError('The set of subscriptions changes all the time')
          set = await this.#loadSet()
          continue
        }
        this.#events += events
        this.#jobs += jobs.length
        onProgress(this.#result)
        rest = rest.slice(count)
      }
    }
    return this.#result
  }

  /** Returns false when the set is not the present one. */
  async #send(version: number, jobs: readonly ReceivedJob[]): Promise<boolean> {
    if (this.#options.dryRun === true) return true
    return (await this.#deps.receiver.publish({ version, jobs, announcements: [] })) === 'published'
  }

  async #loadSet(): Promise<SubscriptionSet> {
    const { version, subscriptions } = await this.#deps.registry.list()
    const { subscription } = this.#options
    if (subscription === undefined) return new SubscriptionSet(version, subscriptions)
    const chosen = subscriptions.filter(({ name }) => name === subscription)
    if (chosen.length > 0) return new SubscriptionSet(version, chosen)
    const known = subscriptions.map(({ name }) => name).join(', ') || 'none'
    throw new OptionError(`There is no subscription ${subscription}; registered are ${known}`, {
      option: 'subscription',
      found: subscription,
    })
  }

  /** As many of the first events as go in one piece. */
  #takePart(set: SubscriptionSet, page: readonly EncodedEvent[]) {
    const jobs: ReceivedJob[] = []
    let count = 0
    let events = 0
    for (const event of page) {
      const made = set
        .matching(event)
        .map(({ subscription, topic }) => jobFor(subscription, event, topic, `${this.#id}/${event.id}`))
      if (count > 0 && jobs.length + made.length > MOST_JOBS) break
      jobs.push(...made)
      if (made.length > 0) events++
      count++
    }
    return { count, events, jobs }
  }
}
