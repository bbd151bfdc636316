import type { ReceivedPosition } from '../../src/job/job-receiver.ts'
import { type EntryOptions, parseOptions } from '../../src/queue/entry.ts'
import { parsePosition } from '../../src/queue/receiver/position.ts'

// What lua/look.lua saw, in a form that checks can be written against.

/** An entry of a stream. */
export interface SeenEntry {
  readonly letter: string
  readonly entry: string
  readonly id: string
  readonly type: string
  readonly options: EntryOptions
  readonly payload: string
  /** The consumer that holds it; undefined = nobody has read it. */
  readonly owner: string | undefined
  readonly idleMs: number
  /** At or before the last id that the group delivered. */
  readonly isDelivered: boolean
}

export interface SeenRecord {
  readonly flags: string
  readonly type: string
  readonly options: EntryOptions
  readonly payload: string
}

export interface Picture {
  readonly entries: readonly SeenEntry[]
  /** Letter of a stream -> the last entry id that it gave. */
  readonly lasts: ReadonlyMap<string, string>
  /** Entry id that further attempts of the queue must be above. */
  readonly floor: string
  /** Pending for a consumer, but no entry is behind it: "<letter>:<entry>". */
  readonly ghosts: readonly string[]
  readonly later: ReadonlyMap<string, number>
  readonly dead: ReadonlyMap<string, number>
  readonly records: ReadonlyMap<string, SeenRecord>
  readonly where: ReadonlyMap<string, string>
  readonly slots: ReadonlyMap<string, string>
  readonly gates: ReadonlyMap<string, readonly string[]>
  readonly counters: ReadonlyMap<string, number>
  readonly sides: readonly string[]
  readonly payloads: readonly string[]
  /** How far each unit of an outbox has come. */
  readonly positions: ReadonlyMap<string, ReceivedPosition | undefined>
  /** Of deaths that people should hear of: job and reason, in their order. */
  readonly notes: readonly (readonly [id: string, reason: string])[]
  readonly strange: readonly string[]
  /** The last wake-up that was published since the look before, "<queue> <instant>". */
  readonly wake: string | undefined
  /** The site of the call that was made to fail since the look before. */
  readonly failed: string | undefined
}

interface Looked {
  streams: Record<string, LookedStream>
  gates: Record<string, string[]> | []
  payloads: string[] | object
  relay: string[] | object
  notes: [string, string][] | object
  strange: string[] | object
  sides?: string[] | object
  later?: string[]
  dead?: string[]
  recs?: string[]
  where?: string[]
  slots?: string[]
  n?: string[]
  wake?: string
  failed?: string
}

interface LookedStream {
  entries: [entry: string, type: string, options: string, payload: string][] | object
  pending: [entry: string, consumer: string, idleMs: number][] | object
  delivered: string
  last: string
}

export function parsePicture(text: string): Picture {
  const look = JSON.parse(text) as Looked
  const entries: SeenEntry[] = []
  const ghosts: string[] = []
  for (const [letter, stream] of Object.entries(look.streams)) readStream(letter, stream, entries, ghosts)
  return {
    entries,
    ghosts,
    lasts: new Map(Object.entries(look.streams).map(([letter, { last }]) => [letter, last])),
    floor: new Map(pairs(look.n)).get('floor') ?? '0-0',
    later: numbers(look.later),
    dead: numbers(look.dead),
    records: new Map(pairs(look.recs).map(([id, record]) => [id, parseRecord(record)])),
    where: new Map(pairs(look.where)),
    slots: new Map(pairs(look.slots)),
    gates: new Map(Object.entries(look.gates)),
    counters: numbers(look.n),
    sides: list(look.sides),
    payloads: list(look.payloads),
    positions: new Map(pairs(list(look.relay)).map(([unit, text]) => [unit, parsePosition(text)])),
    notes: list<[string, string]>(look.notes),
    strange: list(look.strange),
    wake: look.wake,
    failed: look.failed,
  }
}

function readStream(letter: string, stream: LookedStream, entries: SeenEntry[], ghosts: string[]): void {
  const pending = new Map(list<[string, string, number]>(stream.pending).map((held) => [held[0], held]))
  for (const [entry, type, optionsText, payload] of list<[string, string, string, string]>(stream.entries)) {
    const held = pending.get(entry)
    pending.delete(entry)
    const options = readOptions(optionsText)
    entries.push({
      letter,
      entry,
      id: options.i ?? entry,
      type,
      options,
      payload,
      owner: held?.[1],
      idleMs: held?.[2] ?? 0,
      isDelivered: !isAfter(entry, stream.delivered),
    })
  }
  for (const entry of pending.keys()) ghosts.push(`${letter}:${entry}`)
}

/** Flags, type, options, payload, one line each; the payload may have several. */
function parseRecord(text: string): SeenRecord {
  const [flags = '', type = '', optionsText = '', ...payload] = text.split('\n')
  return { flags, type, options: readOptions(optionsText), payload: payload.join('\n') }
}

// The same few texts come again and again, step after step.
const known = new Map<string, EntryOptions>()

function readOptions(text: string): EntryOptions {
  let options = known.get(text)
  if (!options) {
    if (known.size > 10_000) known.clear()
    options = parseOptions(text)
    known.set(text, options)
  }
  return options
}

/** True when entry id `a` comes after `b`. */
function isAfter(a: string, b: string): boolean {
  const [aMs, aSeq] = idParts(a)
  const [bMs, bSeq] = idParts(b)
  return aMs === bMs ? aSeq > bSeq : aMs > bMs
}

function idParts(id: string): [ms: number, sequence: number] {
  const dash = id.indexOf('-')
  return [Number(id.slice(0, dash)), Number(id.slice(dash + 1))]
}

function pairs(flat: readonly string[] | undefined): [string, string][] {
  const found: [string, string][] = []
  if (Array.isArray(flat))
    for (let at = 0; at < flat.length; at += 2) found.push([flat[at] as string, flat[at + 1] as string])
  return found
}

function numbers(flat: readonly string[] | undefined): Map<string, number> {
  return new Map(pairs(flat).map(([name, value]) => [name, Number(value)]))
}

function list<T = string>(value: readonly T[] | object | undefined): readonly T[] {
  return Array.isArray(value) ? (value as readonly T[]) : []
}
