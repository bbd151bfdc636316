import { hash } from 'node:crypto'
import type { ReceivedJob } from '../job/job-receiver.ts'
import type { EncodedEvent, EventFacts } from './event.ts'
import { jobTypeOf, type SubscriptionDefinition, TOPIC_HEADER } from './subscription.ts'
import type { RegisteredSubscription } from './subscription-registry.ts'
import { doctypeTopic, TopicSet } from './topic.ts'

/** The topic by which an event comes to a subscription: its own, or that of its doctype. Undefined: it is not the subscription's. */
export function topicFor(subscription: SubscriptionDefinition, event: EventFacts): string | undefined {
  return new Matcher(subscription).topicFor(event)
}

/** Whether an event, or a row of the log, is a subscription's. Where it starts is not asked. */
export function matches(subscription: SubscriptionDefinition, event: EventFacts): boolean {
  return topicFor(subscription, event) !== undefined
}

/** A recorded event, as ids of its jobs name it. */
export function recordedOrigin(logId: string, seq: number): string {
  return `${logId}/${seq}`
}

/** Longest key of a job; a longer one goes by its hash. */
const LONGEST_KEY = 200

/**
 * The job by which an event comes to a subscription. The same again for the same again: its id is made from where the event came from
 * (`origin`: see recordedOrigin; of an emitted one its id) and from the registration.
 */
export function jobFor(
  { name, since, queue, onDead }: Pick<RegisteredSubscription, 'name' | 'since' | 'queue' | 'onDead'>,
  event: Pick<EncodedEvent, 'key' | 'options' | 'payload'>,
  topic: string,
  origin: string,
): ReceivedJob {
  // 15 bytes are 20 characters. What tells origin from name and number stands in neither.
  const place = `g${hash('sha256', `${origin} ${name} ${since}`, 'base64url').slice(0, 20)}`
  const key = event.key === undefined ? undefined : jobKey(name, event.key)
  const options =
    `{"i":"${place}"` +
    (key === undefined ? '' : `,"k":${JSON.stringify(key)}`) +
    `,"h":${JSON.stringify(headersOf(event.options, topic))}` +
    (onDead === 'block' ? ',"b":1}' : '}')
  return { queue, type: jobTypeOf(name), options, payload: event.payload, place, key, dueMs: undefined }
}

function jobKey(name: string, eventKey: string): string {
  const key = `${name}/${eventKey}`
  return key.length <= LONGEST_KEY ? key : `${name}/#${hash('sha256', eventKey, 'base64url')}`
}

function headersOf(headers: string | undefined, topic: string): string {
  // A topic needs no escapes.
  if (headers === undefined) return `{"${TOPIC_HEADER}":"${topic}"}`
  return JSON.stringify({ ...(JSON.parse(headers) as object), [TOPIC_HEADER]: topic })
}

/** A subscription that an event is for. */
export interface Match {
  readonly subscription: RegisteredSubscription
  /** By which topic. */
  readonly topic: string
}

/** A set of subscriptions, at one version of it: who gets an event. */
export class SubscriptionSet {
  readonly version: number
  readonly subscriptions: readonly RegisteredSubscription[]
  readonly #matchers: readonly Matcher<RegisteredSubscription>[]
  /** Those whose topics fit, by the event's topic and doctype's topic: most events have one of a few. */
  readonly #byTopics = new Map<string, readonly Matcher<RegisteredSubscription>[]>()

  constructor(version: number, subscriptions: readonly RegisteredSubscription[]) {
    this.version = version
    this.subscriptions = subscriptions
    this.#matchers = subscriptions.map((subscription) => new Matcher(subscription))
  }

  /** In the order of the set. */
  matching(event: EventFacts): Match[] {
    const matches: Match[] = []
    for (const matcher of this.#candidates(event)) {
      const topic = matcher.topicFor(event)
      if (topic !== undefined) matches.push({ subscription: matcher.subscription, topic })
    }
    return matches
  }

  jobsFor(event: EncodedEvent, origin: string): ReceivedJob[] {
    return this.matching(event).map(({ subscription, topic }) => jobFor(subscription, event, topic, origin))
  }

  #candidates(event: EventFacts): readonly Matcher<RegisteredSubscription>[] {
    const ofDoctype = doctypeTopic(event)
    const topics = ofDoctype === undefined ? event.topic : `${event.topic} ${ofDoctype}`
    const known = this.#byTopics.get(topics)
    if (known) return known
    const found = this.#matchers.filter(
      ({ topics }) => topics.has(event.topic) || (ofDoctype !== undefined && topics.has(ofDoctype)),
    )
    if (this.#byTopics.size >= MOST_TOPICS) this.#byTopics.clear()
    this.#byTopics.set(topics, found)
    return found
  }
}

/** A set remembers so many topics: their number is the application's affair. */
const MOST_TOPICS = 10_000

/** What a subscription asks for, made ready to be asked often. */
class Matcher<T extends SubscriptionDefinition = SubscriptionDefinition> {
  readonly subscription: T
  readonly topics: TopicSet
  readonly #types: ReadonlySet<string> | undefined
  readonly #sites: ReadonlySet<string> | undefined
  readonly #doctypes: ReadonlySet<string> | undefined

  constructor(subscription: T) {
    this.subscription = subscription
    this.topics = new TopicSet(subscription.topics)
    this.#types = asSet(subscription.types)
    this.#sites = asSet(subscription.sites)
    this.#doctypes = asSet(subscription.doctypes)
  }

  topicFor(event: EventFacts): string | undefined {
    if (this.#types && !this.#types.has(event.type)) return undefined
    if (this.#sites && !has(this.#sites, event.site)) return undefined
    if (this.#doctypes && !has(this.#doctypes, event.doctype)) return undefined
    if (this.topics.has(event.topic)) return event.topic
    const ofDoctype = doctypeTopic(event)
    return ofDoctype !== undefined && this.topics.has(ofDoctype) ? ofDoctype : undefined
  }
}

function asSet(texts: readonly string[] | undefined): ReadonlySet<string> | undefined {
  return texts && new Set(texts)
}

function has(set: ReadonlySet<string>, text: string | undefined): boolean {
  return text !== undefined && set.has(text)
}
