import { ConnectionError, EnqueueError, MocaError } from '../../../errors.ts'
import type { JobReceiver, ReceivedJob } from '../../../job/job-receiver.ts'
import type { EncodedEvent } from '../../event.ts'
import type { EventBackend, Listening, PublishOutcome, TransientListener } from '../../event-backend.ts'
import { SubscriptionSet } from '../../fan-out.ts'
import { KNOWN_TOPICS } from '../../topic.ts'
import { type RedisAccess, topicChannel } from './redis-access.ts'
import type { RedisListener } from './redis-listener.ts'
import type { RedisSubscriptions } from './redis-subscriptions.ts'

export interface RedisBackendDeps {
  readonly redis: RedisAccess
  readonly receiver: Pick<JobReceiver, 'publish'>
  readonly subscriptions: Pick<RedisSubscriptions, 'list'>
  readonly listener: RedisListener
}

/** One script holds up everybody else while it runs: it accepts at most so much. */
const MOST_JOBS = 1_000
const MOST_BYTES = 8 * 1024 * 1024
/** Subscriptions do not change that fast: somebody who always finds another set has another problem. */
const MOST_TRIES = 5

/** Some events and what becomes of them. */
interface Part {
  readonly count: number
  readonly jobs: readonly ReceivedJob[]
}

/** Events through Redis: a job for each subscription, and an announcement for whoever listens, in one script. */
export class RedisEventBackend implements EventBackend {
  readonly name = 'redis'
  readonly #deps: RedisBackendDeps
  /** Who gets events, as far as this process knows. The script knows better, and says so. */
  #set: SubscriptionSet | undefined
  #isOutdated = false

  constructor(deps: RedisBackendDeps) {
    this.#deps = deps
  }

  ready(limitMs: number): Promise<void> {
    return this.#deps.redis.ready(limitMs)
  }

  async publishBatch(events: readonly EncodedEvent[]): Promise<readonly PublishOutcome[]> {
    const outcomes: PublishOutcome[] = []
    let tries = 0
    while (outcomes.length < events.length) {
      const rest = events.slice(outcomes.length)
      const answer = await this.#publishSome(rest).catch(asUnavailable)
      if (answer === 'outdated') {
        this.#isOutdated = true
        tries++
        if (tries < MOST_TRIES) continue
        return [...outcomes, ...rest.map(() => CHANGING)]
      }
      outcomes.push(...answer)
      const last = answer.at(-1)
      // Not those behind it: their order is not to depend on whether this one was applied.
      if (last?.status === 'unavailable') outcomes.push(...rest.slice(answer.length).map(() => notSent(last.reason)))
    }
    return outcomes
  }

  listen(topics: readonly string[], listener: TransientListener): Promise<Listening> {
    return this.#deps.listener.listen(topics, listener)
  }

  /** Those that mean something already, those that somebody subscribed to by name, and those that somebody listens to. */
  async listTopics(): Promise<readonly string[]> {
    const { redis, subscriptions } = this.#deps
    const channels = await redis.send<string[]>(['PUBSUB', 'CHANNELS', topicChannel(redis.prefix, '*')])
    const heard = channels.map((channel) => channel.slice(topicChannel(redis.prefix, '').length))
    const registered = (await subscriptions.list()).subscriptions.flatMap(({ topics }) => topics)
    const named = registered.filter((topic) => !topic.endsWith('.*'))
    return [...new Set([...KNOWN_TOPICS.keys(), ...named, ...heard])].toSorted()
  }

  async close(): Promise<void> {
    await this.#deps.listener.close()
  }

  /** As many of the first events as one script takes. */
  async #publishSome(events: readonly EncodedEvent[]): Promise<PublishOutcome[] | 'outdated'> {
    const set = await this.#presentSet()
    const { count, jobs } = takePart(set, events)
    if (count === 0) return [TOO_MANY]
    const announcements = events.slice(0, count).map(({ topic, payload }) => ({ topic, text: payload }))
    try {
      const answer = await this.#deps.receiver.publish({ version: set.version, jobs, announcements })
      return answer === 'outdated' ? 'outdated' : announcements.map(() => PUBLISHED)
    } catch (error) {
      const outcome = unavailable(error, mayHaveBeenApplied(error))
      return announcements.map(() => outcome)
    }
  }

  async #presentSet(): Promise<SubscriptionSet> {
    if (this.#set && !this.#isOutdated) return this.#set
    const { version, subscriptions } = await this.#deps.subscriptions.list()
    if (version === 0 && this.#set && this.#set.subscriptions.length > 0) {
      // Workers and relays will register them again. Until then the event would reach nobody.
      throw new ConnectionError('Redis forgot who subscribed to events')
    }
    this.#set = new SubscriptionSet(version, subscriptions)
    this.#isOutdated = false
    return this.#set
  }
}

const PUBLISHED: PublishOutcome = Object.freeze({ status: 'published' })
const TOO_MANY: PublishOutcome = Object.freeze({
  status: 'refused',
  reason: `more than ${MOST_JOBS} subscriptions ask for it`,
})
const CHANGING = notSent('the set of subscriptions changes all the time')

function notSent(reason: string): PublishOutcome {
  return { status: 'unavailable', reason, mayHaveBeenApplied: false }
}

/** Of what failed before anything was sent. */
function asUnavailable(error: unknown): PublishOutcome[] {
  return [unavailable(error, false)]
}

function unavailable(error: unknown, mayHaveBeenApplied: boolean): PublishOutcome {
  const reason = error instanceof Error ? error.message : String(error)
  return { status: 'unavailable', reason, mayHaveBeenApplied, cause: error }
}

/** Of what the receiver rejected with. What it refuses for a reason of its own (full, another layout) was not applied. */
function mayHaveBeenApplied(error: unknown): boolean {
  if (error instanceof EnqueueError) return error.mayHaveBeenApplied
  return !(error instanceof MocaError) || error instanceof ConnectionError
}

/** The first events that fit into one script together; none when the first one alone does not. */
function takePart(set: SubscriptionSet, events: readonly EncodedEvent[]): Part {
  const jobs: ReceivedJob[] = []
  let count = 0
  let bytes = 0
  for (const event of events) {
    const made = set.jobsFor(event, event.id)
    const size = event.payload.length * (made.length + 1)
    if (jobs.length + made.length > MOST_JOBS || (count > 0 && bytes + size > MOST_BYTES)) break
    jobs.push(...made)
    bytes += size
    count++
  }
  return { count, jobs }
}
