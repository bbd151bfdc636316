import { OptionError, PayloadError } from '../errors.ts'
import { closest } from '../job/closest.ts'
import { describeValue } from '../job/describe-value.ts'
import { encodeHeaders } from '../job/headers.ts'
import { makeEventId } from './event-id.ts'
import { requireTopic } from './topic.ts'

/** An event as it travels: JSON, in snake_case, all fields always there. */
export interface Envelope<Data = unknown> {
  /** UUID version 7. */
  readonly event_id: string
  readonly event_type: string
  /** ISO 8601, UTC, by the clock of whoever recorded or emitted it. */
  readonly timestamp: string
  readonly source: string | null
  readonly site: string | null
  readonly doctype: string | null
  readonly docname: string | null
  readonly action: string | null
  readonly user: string | null
  readonly data: Data
  readonly prev_data: Data | null
  readonly request_id: string | null
}

/** What an application says of an event. */
export interface EventInput<Data = unknown> {
  /** What happened, e.g. `order.paid`: 1 to 200 characters. */
  readonly type: string
  /**
   * Events with the same key reach a subscription in order: 1 to 500 characters. Default: `site:doctype:docname` where there is a
   * document; otherwise no order is kept.
   */
  readonly key?: string
  /** Any JSON value. Default null. */
  readonly data?: Data
  /** What `data` was before. Default null. */
  readonly prevData?: Data
  /** Who says so, e.g. the name of the service. Default: `events.source` of the configuration. */
  readonly source?: string
  readonly site?: string
  readonly doctype?: string
  /** Needs a doctype. */
  readonly docname?: string
  readonly action?: string
  readonly user?: string
  readonly requestId?: string
  /** Travel with the event, e.g. trace context. Together at most 8 KiB, as JSON within JSON. */
  readonly headers?: Readonly<Record<string, string>>
}

/** What of an event decides where it goes. */
export interface EventFacts {
  readonly topic: string
  readonly type: string
  readonly site: string | undefined
  readonly doctype: string | undefined
}

/** An event ready to go. A row of the log has the same fields. */
export interface EncodedEvent extends EventFacts {
  readonly id: string
  /** Undefined: no order is asked for. */
  readonly key: string | undefined
  /** Headers, a JSON object. */
  readonly options: string | undefined
  /** The envelope, JSON. */
  readonly payload: string
}

export interface EventDefaults {
  readonly nowMs: number
  readonly source: string | undefined
  /** Longest envelope. */
  readonly maxBytes: number
}

const TEXTS = ['source', 'site', 'doctype', 'docname', 'action', 'user', 'requestId'] as const
const NAMES: readonly string[] = ['type', 'key', 'data', 'prevData', ...TEXTS, 'headers']

/**
 * Checks an event and makes its envelope, letter by letter as `moca.record` makes it in SQL (outbox/migrations/0002-record.sql; both are
 * held to test/conformance/event-cases.ts). Throws OptionError or PayloadError.
 */
export function encodeEvent(
  topic: string,
  input: EventInput,
  { nowMs, source, maxBytes }: EventDefaults,
): EncodedEvent {
  const { fields, key, headers } = encodeParts(topic, input, source)
  const { type, site, doctype } = input
  const id = makeEventId(nowMs)
  const instant = new Date(nowMs).toISOString()
  const payload = `{"event_id":"${id}","event_type":${JSON.stringify(type)},"timestamp":"${instant}",${fields}}`
  requireSize(type, payload, maxBytes)
  return { id, topic, type, site, doctype, key, options: headers, payload }
}

/** What an envelope and a request to `moca.record` have in common, checked. */
export interface EventParts {
  /** All fields of the envelope behind the timestamp, as members of a JSON object. */
  readonly fields: string
  /** Undefined: no order is asked for. */
  readonly key: string | undefined
  /** A JSON object. */
  readonly headers: string | undefined
}

/** Checks an event but for its size. Throws OptionError or PayloadError. */
export function encodeParts(topic: string, input: EventInput, source: string | undefined): EventParts {
  requireTopic(topic)
  requireInput(input)
  const fields =
    `"source":${json(input.source ?? source)},"site":${json(input.site)},"doctype":${json(input.doctype)}` +
    `,"docname":${json(input.docname)},"action":${json(input.action)},"user":${json(input.user)}` +
    `,"data":${encodeData(input, 'data')},"prev_data":${encodeData(input, 'prevData')}` +
    `,"request_id":${json(input.requestId)}`
  const headers = input.headers === undefined ? undefined : encodeHeaders(input.headers)
  return { fields, key: keyOf(input), headers }
}

function json(text: string | undefined): string {
  return text === undefined ? 'null' : JSON.stringify(text)
}

function requireInput(input: EventInput): void {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new OptionError(`An event is an object { type, key, data, ... }; found ${describeValue(input)}`, {
      option: 'event',
      found: input,
    })
  }
  const strange = Object.keys(input).find((name) => !NAMES.includes(name))
  if (strange !== undefined) {
    const meant = closest(strange, NAMES)
    const hint = meant === undefined ? '' : ` Did you mean ${meant}?`
    throw new OptionError(`An event has no field ${strange}.${hint} Known are ${NAMES.join(', ')}.`, {
      option: strange,
    })
  }
  requireText(input.type, 'type', 200)
  for (const name of TEXTS) if (input[name] !== undefined) requireText(input[name], name)
  if (input.docname !== undefined && input.doctype === undefined) {
    throw new OptionError('docname needs a doctype: give both, or neither', { option: 'docname', found: input.docname })
  }
}

/** Throws OptionError for what PostgreSQL could not keep as a text. Without `longest` it may be empty. */
function requireText(value: unknown, option: string, longest?: number): void {
  const isText = typeof value === 'string' && value.isWellFormed() && !value.includes('\0')
  if (isText && (longest === undefined || (value !== '' && hasAtMost(value, longest)))) return
  const length = longest === undefined ? '' : ` of 1 to ${longest} characters`
  throw new OptionError(
    `${option} of an event must be a text${length} (no NUL, no half surrogate pairs); found ${describeValue(value)}`,
    { option, found: value },
  )
}

/** Counts characters as PostgreSQL does: a surrogate pair is one. */
function hasAtMost(text: string, characters: number): boolean {
  if (text.length <= characters) return true
  return text.length <= characters * 2 && Array.from(text).length <= characters
}

function keyOf({ key, site = '', doctype, docname }: EventInput): string | undefined {
  if (key !== undefined) {
    requireText(key, 'key', 500)
    return key
  }
  if (doctype === undefined || docname === undefined) return undefined
  const ofDocument = `${site}:${doctype}:${docname}`
  requireText(ofDocument, 'key (site:doctype:docname)', 500)
  return ofDocument
}

function encodeData(input: EventInput, field: 'data' | 'prevData'): string {
  const value = input[field]
  if (value === undefined) return 'null'
  let text: string | undefined
  try {
    text = JSON.stringify(value)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : 'its toJSON threw'
    throw new PayloadError(
      'payload_invalid',
      `${field} of event ${input.type} cannot be written as JSON: ${reason}`,
      { type: input.type, option: field },
      cause,
    )
  }
  if (text !== undefined) return text
  throw new PayloadError(
    'payload_invalid',
    `${field} of event ${input.type} must be a JSON value; found ${describeValue(value)}`,
    { type: input.type, option: field },
  )
}

function requireSize(type: string, payload: string, limit: number): void {
  // A UTF-16 unit takes at most three bytes: most events need no count.
  if (payload.length * 3 <= limit) return
  const bytes = Buffer.byteLength(payload)
  if (bytes <= limit) return
  throw new PayloadError(
    'payload_too_large',
    `The event ${type} has ${bytes} bytes; the limit is ${limit}. Send a reference in place of the data.`,
    { type, bytes, limit },
  )
}
