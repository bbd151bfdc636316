import { PayloadError } from '../errors.ts'
import { encodeParts, type EventInput } from '../events/event.ts'
import type { ParsedOptions } from '../job/enqueue-options.ts'

// Requests of moca.record (migrations/0002-record.sql) as JSON texts. Data and payloads are JSON already, and are put in as they are.

export interface EventRequestOptions {
  readonly source: string | undefined
  /** Longest envelope. The database knows its own limit; this one saves sending it what is longer. */
  readonly maxBytes: number
  readonly lock: boolean
}

/** Checks an event and makes its request. Throws OptionError or PayloadError. */
export function encodeEventRequest(topic: string, input: EventInput, options: EventRequestOptions): string {
  const { fields, headers } = encodeParts(topic, input, options.source)
  const { type, key } = input
  requireReadable(`{${fields}}`, `The event ${type}`, type)
  requireSize(fields, type, options.maxBytes)
  if (headers !== undefined) requireReadable(headers, `The headers of event ${type}`, type)
  // The key of a document is left to the function, which also knows the site of the transaction.
  const own = members([
    ['topic', JSON.stringify(topic)],
    ['event_type', JSON.stringify(type)],
    ['key', key === undefined ? undefined : JSON.stringify(key)],
    ['headers', headers],
    ['lock', options.lock ? 'true' : undefined],
  ])
  return `{${own},${fields}}`
}

export interface JobRequest {
  readonly type: string
  readonly queue: string
  /** JSON. */
  readonly payload: string
  readonly options: ParsedOptions
  readonly lock: boolean
}

/** Makes the request of a job that was checked. Throws PayloadError for what PostgreSQL cannot read. */
export function encodeJobRequest({ type, queue, payload, options, lock }: JobRequest): string {
  const { chosen, delayMs, runAtMs } = options
  const { k: key, h: headers, ...rest } = chosen
  requireReadable(payload, `The payload of ${type}`, type)
  if (headers !== undefined) requireReadable(headers, `The headers of ${type}`, type)
  const fields = members([
    ['job', JSON.stringify(type)],
    ['queue', JSON.stringify(queue)],
    ['key', key === undefined ? undefined : JSON.stringify(key)],
    ['headers', headers],
    ['delay_ms', delayMs?.toString()],
    ['run_at', runAtMs?.toString()],
    ['options', Object.keys(rest).length === 0 ? undefined : JSON.stringify(rest)],
    ['lock', lock ? 'true' : undefined],
    ['payload', payload],
  ])
  return `{${fields}}`
}

function members(fields: readonly (readonly [name: string, json: string | undefined])[]): string {
  return fields.flatMap(([name, json]) => (json === undefined ? [] : [`"${name}":${json}`])).join(',')
}

function requireSize(fields: string, type: string, limit: number): void {
  // A UTF-16 unit takes at most three bytes: most events need no count.
  if (fields.length * 3 <= limit) return
  const bytes = Buffer.byteLength(fields)
  if (bytes <= limit) return
  throw new PayloadError(
    'payload_too_large',
    `The event ${type} has more than ${bytes} bytes; the limit is ${limit} (option outbox.maxBytes). Record a reference in place of the data.`,
    { type, bytes, limit },
  )
}

/** JSON may hold characters that PostgreSQL cannot: said here, the caller's transaction is not lost with it. */
function requireReadable(json: string, what: string, type: string): void {
  if (!json.includes('\\u0000') && !/\\ud[89a-f]/i.test(json)) return
  // Perhaps it is a backslash that is followed by these letters.
  const place = findUnreadable(JSON.parse(json), [])
  if (place === undefined) return
  throw new PayloadError(
    'payload_invalid',
    `${what} has the character U+0000 or half a surrogate pair${place === '' ? '' : ` at ${place}`}; PostgreSQL keeps neither. Remove it, or encode the text.`,
    { type, at: place },
  )
}

/** Where it is: `data.lines.0`; undefined: nowhere. */
function findUnreadable(value: unknown, path: readonly string[]): string | undefined {
  if (typeof value === 'string') return isReadable(value) ? undefined : path.join('.')
  if (typeof value !== 'object' || value === null) return undefined
  for (const [name, part] of Object.entries(value)) {
    const found = isReadable(name) ? findUnreadable(part, [...path, name]) : [...path, '(a name)'].join('.')
    if (found !== undefined) return found
  }
  return undefined
}

function isReadable(text: string): boolean {
  return text.isWellFormed() && !text.includes('\0')
}
