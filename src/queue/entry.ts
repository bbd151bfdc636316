/** The options of a job as they stand in its stream entry (field `o`) or record. Absent fields are left out; '' = none at all. */
export interface EntryOptions {
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
  /** Key: one after another. */
  k?: string
  /** Headers, a JSON text of its own. */
  h?: string
  /** Expires so many ms after its acceptance unless it has started. */
  x?: number
  /** Attempts allowed, where not the contract's. */
  n?: number
  /** Timeout in ms, where not the contract's. */
  tm?: number
  /** Retries, where not the contract's: backoff, delay and longest delay (ms), jitter. Read by `retryOf` alone. */
  rt?: { b?: 'exponential' | 'fixed'; d?: number; m?: number; j?: number }
  /** How long the history shows it once it completed (ms), where not the contract's. */
  kc?: number
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

const KINDS: Readonly<Record<keyof EntryOptions, 'string' | 'number' | 'object'>> = {
  i: 'string',
  at: 'number',
  a: 'number',
  s: 'number',
  c: 'number',
  r: 'number',
  k: 'string',
  h: 'string',
  x: 'number',
  n: 'number',
  tm: 'number',
  rt: 'object',
  kc: 'number',
  p: 'number',
  f: 'string',
  ls: 'number',
  er: 'object',
  rs: 'string',
  da: 'number',
  rb: 'string',
  ra: 'number',
}

/** Throws for a text that no release wrote: see `options` in lua/prelude.lua, which judges alike. */
export function parseOptions(text: string): Readonly<EntryOptions> {
  if (text === '') return NONE
  const options = JSON.parse(text) as Record<string, unknown> | null
  if (typeof options !== 'object' || options === null || Array.isArray(options)) throw new TypeError('no object')
  for (const name in options) {
    const kind = KINDS[name as keyof EntryOptions] as string | undefined
    if (kind !== undefined && typeof options[name] !== kind) throw new TypeError(`${name} is no ${kind}`)
  }
  return options
}

/**
 * The most that a job takes in a stream or a record: type, options and payload. Whoever reads 256 of them counts on at most 8 MiB.
 *
 * | share       | bytes           |                                                                              |
 * | ----------- | --------------- | ---------------------------------------------------------------------------- |
 * | payload     | 16,384          | a larger one stands beside the stream                                        |
 * | headers     | 8,192           | more are refused                                                             |
 * | errors      | 8 x 768 = 6,144 | KEPT_ERROR_BYTES; texts are cut                                              |
 * | all else    | 2,048           | type (100), key (200 characters: 1,200), counters, instants, overrides       |
 *
 * Texts within the options count as they are stored, escapes included (job/stored-text.ts).
 */
export const ENTRY_LIMIT_BYTES = 32_768
export const LARGE_PAYLOAD_BYTES = 16_384
export const HEADERS_LIMIT_BYTES = 8_192
