import { hash } from 'node:crypto'
import { OptionError } from '../errors.ts'
import { describeValue } from '../job/describe-value.ts'

/** What Moca itself publishes. */
export const DOC_EVENTS = 'moca.doc.events'
export const NOTIFICATIONS = 'moca.notifications'

/** Topics that mean something already, and what. */
export const KNOWN_TOPICS: ReadonlyMap<string, string> = new Map([
  [DOC_EVENTS, 'changes of documents'],
  ['moca.audit.log', "reserved for operators' actions; nothing is published to it yet"],
  ['moca.canary', 'what moca verify --drill sends'],
  [NOTIFICATIONS, 'what a person should hear of: dead letters, losses, parked keys'],
  ['moca.meta.changes', 'reserved for applications'],
  ['moca.integration.outbox', 'reserved for applications'],
  ['moca.workflow.transitions', 'reserved for applications'],
  ['moca.search.indexing', 'reserved for applications'],
])

// As moca.record has it, and within what Kafka takes.
const TOPIC = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/
const PREFIX = /^[A-Za-z0-9][A-Za-z0-9._-]{0,197}\.\*$/

/** Throws OptionError for what cannot be a topic. */
export function requireTopic(topic: unknown): string {
  if (typeof topic === 'string' && TOPIC.test(topic)) return topic
  throw new OptionError(
    `A topic is 1 to 200 of A-Z a-z 0-9 . _ - and begins with a letter or digit, like shop.orders; found ${describeValue(topic)}`,
    { option: 'topic', found: topic },
  )
}

/** Whether a text names a topic, or all topics with a beginning: `shop.*`. */
export function isTopicPattern(pattern: unknown): pattern is string {
  return typeof pattern === 'string' && (TOPIC.test(pattern) || PREFIX.test(pattern))
}

/** Topics by their names, by their beginnings (`shop.*`), or all (`*`). */
export class TopicSet {
  readonly names: ReadonlySet<string>
  readonly beginnings: readonly string[]

  constructor(patterns: readonly string[]) {
    this.names = new Set(patterns.filter((pattern) => !pattern.endsWith('*')))
    this.beginnings = patterns.filter((pattern) => pattern.endsWith('*')).map((pattern) => pattern.slice(0, -1))
  }

  has(topic: string): boolean {
    return this.names.has(topic) || this.beginnings.some((beginning) => isBelow(topic, beginning))
  }
}

// `shop.` itself is a topic, and not below `shop.`.
function isBelow(topic: string, beginning: string): boolean {
  return topic.length > beginning.length && topic.startsWith(beginning)
}

/**
 * `moca.cdc.<site>.<doctype>`: the other name under which a change of a document is known. Undefined for other events.
 * What a topic cannot hold, and dots, become `_`, so that `moca.cdc.<site>.*` is one site; no site is `_`.
 */
export function doctypeTopic(event: {
  readonly topic: string
  readonly site: string | undefined
  readonly doctype: string | undefined
}): string | undefined {
  const { topic, site, doctype } = event
  if (topic !== DOC_EVENTS || doctype === undefined) return undefined
  return `moca.cdc.${partOf(site ?? '')}.${partOf(doctype)}`
}

const LONGEST_PART = 95

function partOf(name: string): string {
  const part = name.replaceAll(/[^A-Za-z0-9_-]/g, '_')
  if (part.length <= LONGEST_PART) return part === '' ? '_' : part
  return `${part.slice(0, LONGEST_PART - 17)}-${hash('sha256', name, 'hex').slice(0, 16)}`
}
