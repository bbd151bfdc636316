import type { ChosenOptions } from '../job/enqueue-options.ts'

/** The options of a job as they stand in its stream entry (field `o`) or record. Absent fields are left out; '' = none at all. */
export interface EntryOptions extends ChosenOptions {
  /** Given id: the job's id is not its place. */
  i?: string
  /** Accepted at (ms, server's clock), when the entry id does not say. */
  at?: number
  /** Attempts charged so far. */
  a?: number
  /** Stalls: how often it was rescued from a worker that died. */
  s?: number
  /** Charged stalls. From the first on it runs alone in its process. */
  c?: number
  /** How often it was handed back. */
  r?: number
  /** Bytes of a large payload that stands beside the stream. */
  p?: number
  /** Entry of the attempt before. */
  f?: string
  /** Stands in a side stream since (ms): no handler for its type was found. */
  ls?: number
  /** Errors of earlier attempts: the first and the last seven. */
  er?: KeptError[]
  /** Reason and time (ms) of death. */
  rs?: string
  da?: number
  /** Who rescued it last (consumer) and when (ms). */
  rb?: string
  ra?: number
}

export interface KeptError {
  /** Attempts charged when it happened. */
  n: number
  at: number
  m: string
  st?: string
}

const NONE: EntryOptions = Object.freeze({})

type Kind = 'string' | 'number' | 'object' | 'entry' | 'errors'

/** A map: a name like `constructor` is one of another release. */
const KINDS: ReadonlyMap<string, Kind> = new Map(
  Object.entries({
    i: 'string',
    at: 'number',
    a: 'number',
    s: 'number',
    c: 'number',
    r: 'number',
    k: 'string',
    b: 'number',
    h: 'string',
    x: 'number',
    n: 'number',
    tm: 'number',
    rt: 'object',
    kc: 'number',
    p: 'number',
    f: 'entry',
    ls: 'number',
    er: 'errors',
    rs: 'string',
    da: 'number',
    rb: 'string',
    ra: 'number',
  } satisfies Record<keyof EntryOptions, Kind>),
)

/** The scripts can neither read nor write what is nested deeper. */
const DEEPEST = 1_000
/** The last instant that a Date can tell, ms. */
const LAST_MS = 8.64e15

/** Throws for a text that no release wrote. */
export function parseOptions(text: string): Readonly<EntryOptions> {
  const { options, flaw } = judgeOptions(text)
  if (flaw !== undefined) throw new TypeError(flaw)
  return options
}

/**
 * A job's options, and the first thing that is wrong with them. What is wrong is left out. `options` in lua/prelude.lua judges alike, so
 * that a job that one of the two takes for damaged is damaged for the other, and has the same id and key for both.
 */
export function judgeOptions(text: string): { options: Readonly<EntryOptions>; flaw?: string } {
  if (text === '') return { options: NONE }
  const options = readObject(text)
  if (!options) return { options: NONE, flaw: 'no JSON object that the scripts can read' }
  let flaw: string | undefined
  for (const name in options) {
    const kind = KINDS.get(name)
    if (fits(options[name], kind)) continue
    delete options[name]
    flaw ??= kind === undefined ? `a number in ${name} is not finite` : `${name} is not of kind ${kind}`
  }
  return flaw === undefined ? { options } : { options, flaw }
}

function readObject(text: string): Record<string, unknown> | undefined {
  if (hasControls(text)) return undefined
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) && !Array.isArray(value) && isReadable(value, 1) ? value : undefined
  } catch {
    return undefined
  }
}

/** The scripts read such characters unescaped within a text, JSON.parse between values: neither is ever written. */
function hasControls(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) < 32) return true
  return false
}

/** The scripts refuse half a surrogate pair, and what is nested too deep. */
function isReadable(value: unknown, depth: number): boolean {
  if (typeof value === 'string') return value.isWellFormed()
  if (!isObject(value)) return true
  if (depth > DEEPEST) return false
  for (const name in value) if (!name.isWellFormed() || !isReadable(value[name], depth + 1)) return false
  return true
}

function fits(value: unknown, kind: Kind | undefined): boolean {
  switch (kind) {
    case 'string':
      return typeof value === 'string'
    case 'number':
      return Number.isFinite(value)
    case 'entry':
      return typeof value === 'string' && /^\d+-\d+$/.test(value)
    case 'errors':
      return Array.isArray(value) && value.length > 0 && value.every(isKeptError) && isWritable(value)
    case 'object':
      return isObject(value) && isWritable(value)
    default:
      return isWritable(value)
  }
}

function isKeptError(value: unknown): boolean {
  if (!isObject(value)) return false
  const { n, at, m, st } = value
  const isText = typeof m === 'string' && (st === undefined || typeof st === 'string')
  return isText && typeof n === 'number' && typeof at === 'number' && Math.abs(at) <= LAST_MS
}

/** JSON.parse and the scripts read numbers that neither can write again, like 1e999. */
function isWritable(value: unknown): boolean {
  if (typeof value === 'number') return Number.isFinite(value)
  if (!isObject(value)) return true
  for (const name in value) if (!isWritable(value[name])) return false
  return true
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

/**
 * The most that a job takes in a stream or a record: type, options and payload. Whoever reads 256 of them counts on at most 8 MiB.
 *
 * | share       | bytes           |                                                                              |
 * | ----------- | --------------- | ---------------------------------------------------------------------------- |
 * | payload     | 16,384          | a larger one stands beside the stream                                        |
 * | headers     | 8,192           | more are refused (job/headers.ts)                                            |
 * | errors      | 8 x 768 = 6,144 | KEPT_ERROR_BYTES; texts are cut                                              |
 * | all else    | 2,048           | type (100), key (200 characters: 1,200), counters, instants, overrides       |
 *
 * Texts within the options count as they are stored, escapes included (job/stored-text.ts).
 */
export const ENTRY_LIMIT_BYTES = 32_768
export const LARGE_PAYLOAD_BYTES = 16_384

/** The bytes of a payload that is so large that it stands beside the stream; undefined for one that does not. */
export function largeBytes(payload: string): number | undefined {
  // Most need no count.
  if (payload.length * MOST_BYTES_PER_CHARACTER <= LARGE_PAYLOAD_BYTES) return undefined
  const bytes = Buffer.byteLength(payload)
  return bytes > LARGE_PAYLOAD_BYTES ? bytes : undefined
}

/** Of UTF-8, for each unit of a JavaScript text. */
const MOST_BYTES_PER_CHARACTER = 3

/** Whether a job keeps its key when it dies. The scripts judge alike. */
export function blocksKey({ b, k }: EntryOptions): boolean {
  return b === 1 && k !== undefined
}
