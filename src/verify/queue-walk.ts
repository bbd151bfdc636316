import type { AuditReader } from '../queue/inspector/audit-reader.ts'
import { isLater } from '../queue/inspector/job-source.ts'
import { blocksKey } from '../queue/entry.ts'
import { parseRecord } from '../queue/inspector/job-view.ts'
import type { StreamLetter } from '../queue/keys.ts'
import {
  type EntryRef,
  parseWhere,
  type QueueLook,
  type QueueReader,
  type StreamJob,
} from '../queue/inspector/queue-reader.ts'
import type { Suspect } from './job-standing.ts'

const PAGE = 500
/** Records and entries may have ENTRY_LIMIT_BYTES (queue/entry.ts) each: a page stays below 8 MiB. */
const FULL_PAGE = 250

/** What a walk over the places of a queue found worth a second look. */
export class Suspects {
  readonly jobs = new Map<string, Suspect>()
  /** Keys whose holder seems to be gone, or that nobody seems to hold. */
  readonly keys = new Set<string>()
  /** Jobs met. */
  seen = 0

  add(
    place: string,
    hint: { ref?: EntryRef | undefined; key?: string | undefined; delivered?: string | undefined } = {},
  ): void {
    const suspect = this.jobs.get(place) ?? { place, refs: [] }
    this.jobs.set(place, suspect)
    if (hint.ref) suspect.refs.push(hint.ref)
    if (hint.key !== undefined) suspect.key = hint.key
    if (hint.delivered !== undefined) suspect.delivered = hint.delivered
  }
}

/** What the scan of the namespace's keys told of one queue. */
export interface KeysOfQueue {
  /** Keys for which jobs wait. */
  readonly gates: readonly string[]
  /** Ids that have a large payload. */
  readonly payloads: readonly string[]
}

export interface Readers {
  readonly queues: QueueReader
  readonly audit: AuditReader
}

/**
 * Walks over all places of a queue, page by page, while jobs move. Everything that does not fit becomes a suspect; most are jobs that
 * moved between two reads. Nothing that stands still is missed: each place is walked to its end as it was when the walk began.
 */
export async function walkQueue(
  readers: Readers,
  queue: string,
  look: QueueLook,
  keys: KeysOfQueue,
  signal?: AbortSignal,
): Promise<Suspects> {
  const suspects = new Suspects()
  const walk = { ...readers, queue, suspects, signal }
  for (const [letter, { delivered }] of Object.entries(look.streams)) {
    await walkStream(walk, letter as StreamLetter, delivered)
    await walkPending(walk, letter as StreamLetter)
  }
  await walkWhere(walk)
  const gated = await walkGates(walk, keys.gates)
  await walkNames(walk, 'later')
  await walkNames(walk, 'dead')
  await walkRecords(walk, gated)
  await walkSlots(walk)
  await walkPayloads(walk, keys.payloads)
  return suspects
}

interface Walk extends Readers {
  readonly queue: string
  readonly suspects: Suspects
  readonly signal: AbortSignal | undefined
}

async function walkStream(walk: Walk, letter: StreamLetter, delivered: string): Promise<void> {
  const end = (await walk.queues.lastEntry(walk.queue, letter)) ?? '0-0'
  let from = '-'
  for (;;) {
    walk.signal?.throwIfAborted()
    const entries = await walk.queues.entries(walk.queue, letter, from, end, FULL_PAGE)
    const last = entries.at(-1)
    if (!last) return
    walk.suspects.seen += entries.length
    await checkNotes(walk, entries)
    await checkHolders(walk, letter, entries, delivered)
    if (entries.length < FULL_PAGE) return
    from = `(${last.entry}`
  }
}

// An entry whose id is not its place is noted in `where`; one whose id is its place must not be. None has a record.
async function checkNotes(walk: Walk, entries: readonly StreamJob[]): Promise<void> {
  const places = entries.map(({ place }) => place)
  const large = entries.filter(({ options }) => options.p !== undefined)
  const [notes, records, payloads] = await Promise.all([
    walk.queues.fields(walk.queue, 'where', places),
    walk.audit.haveRecords(walk.queue, places),
    walk.audit.haveLargePayloads(
      walk.queue,
      large.map(({ place }) => place),
    ),
  ])
  for (const [index, { letter, entry, place, hasGivenId, options }] of entries.entries()) {
    const expected = hasGivenId || letter !== 'm' ? `${letter}:${entry}` : undefined
    if (notes[index] !== expected || records[index])
      walk.suspects.add(place, { ref: { letter, entry }, key: options.k })
  }
  for (const [index, { letter, entry, place, options }] of large.entries()) {
    if (!payloads[index]) walk.suspects.add(place, { ref: { letter, entry }, key: options.k })
  }
}

async function checkHolders(
  walk: Walk,
  letter: StreamLetter,
  entries: readonly StreamJob[],
  delivered: string,
): Promise<void> {
  const given = entries.filter(({ entry }) => !isLater(entry, delivered))
  const [first, last] = [given[0], given.at(-1)]
  if (!first || !last) return
  const held = new Set<string>()
  for await (const page of pendingPages(walk, letter, first.entry, last.entry))
    for (const { entry } of page) held.add(entry)
  for (const { entry, place } of given) {
    if (!held.has(entry)) walk.suspects.add(place, { ref: { letter, entry }, delivered })
  }
}

async function* pendingPages(walk: Walk, letter: StreamLetter, from: string, to: string) {
  for (let start = from; ; ) {
    walk.signal?.throwIfAborted()
    const page = await walk.queues.pending(walk.queue, letter, start, to, PAGE)
    yield page
    const last = page.at(-1)
    if (!last || page.length < PAGE) return
    start = `(${last.entry}`
  }
}

async function walkPending(walk: Walk, letter: StreamLetter): Promise<void> {
  for await (const page of pendingPages(walk, letter, '-', '+')) {
    const refs = page.map(({ entry }) => ({ letter, entry }))
    const entries = await walk.audit.entriesAt(walk.queue, refs)
    // The entry is gone, and with it the id of its job: its place stands for it.
    for (const [index, ref] of refs.entries()) if (!entries[index]) walk.suspects.add(ref.entry, { ref })
  }
}

async function walkWhere(walk: Walk): Promise<void> {
  for await (const page of scanPages(walk, 'where')) {
    const refs = page.map(([, where]) => parseWhere(where))
    const entries = await walk.audit.entriesAt(walk.queue, refs)
    for (const [index, [place]] of page.entries()) {
      if (entries[index]?.place !== place) walk.suspects.add(place, { ref: refs[index] })
    }
  }
}

async function* scanPages(walk: Walk, part: 'recs' | 'where' | 'slots') {
  let cursor = '0'
  do {
    walk.signal?.throwIfAborted()
    const [next, page] = await walk.queues.scan(walk.queue, part, cursor, FULL_PAGE)
    yield page
    cursor = next
  } while (cursor !== '0')
}

/** All ids that wait for some key. */
async function walkGates(walk: Walk, gates: readonly string[]): Promise<Set<string>> {
  const gated = new Set<string>()
  for (const key of gates) {
    const { holder, waiting } = await walk.queues.key(walk.queue, key)
    if (holder === undefined && waiting > 0) walk.suspects.keys.add(key)
    for (let from = 0; ; from += PAGE) {
      walk.signal?.throwIfAborted()
      const places = await walk.queues.gate(walk.queue, key, from, from + PAGE - 1)
      const records = await walk.audit.haveRecords(walk.queue, places)
      for (const [index, place] of places.entries()) {
        if (!records[index] || gated.has(place)) walk.suspects.add(place, { key })
        gated.add(place)
      }
      if (places.length < PAGE) break
    }
  }
  return gated
}

async function walkNames(walk: Walk, part: 'later' | 'dead'): Promise<void> {
  let cursor = '0'
  do {
    walk.signal?.throwIfAborted()
    const [next, places] = await walk.audit.scanScored(walk.queue, part, cursor, PAGE)
    const records = await walk.audit.haveRecords(walk.queue, places)
    for (const [index, place] of places.entries()) if (!records[index]) walk.suspects.add(place)
    cursor = next
  } while (cursor !== '0')
}

async function walkRecords(walk: Walk, gated: ReadonlySet<string>): Promise<void> {
  for await (const page of scanPages(walk, 'recs')) {
    walk.suspects.seen += page.length
    const records = page.map(([place, text]) => ({ place, options: parseRecord(text).options }))
    const places = records.map(({ place }) => place)
    const large = records.filter(({ options }) => options.p !== undefined)
    const [later, dead, notes, payloads] = await Promise.all([
      walk.queues.scoresOf(walk.queue, 'later', places),
      walk.queues.scoresOf(walk.queue, 'dead', places),
      walk.queues.fields(walk.queue, 'where', places),
      walk.audit.haveLargePayloads(
        walk.queue,
        large.map(({ place }) => place),
      ),
    ])
    for (const [index, { place, options }] of records.entries()) {
      const names = Number(later[index] !== undefined) + Number(dead[index] !== undefined) + Number(gated.has(place))
      if (names !== 1 || notes[index] !== undefined) walk.suspects.add(place, { key: options.k })
    }
    for (const [index, { place, options }] of large.entries())
      if (!payloads[index]) walk.suspects.add(place, { key: options.k })
  }
}

// A key is held by a job that waits, runs, or is delayed: those are in a stream, thus in `where`, or in `later`; or by a dead letter that
// keeps it.
async function walkSlots(walk: Walk): Promise<void> {
  for await (const page of scanPages(walk, 'slots')) {
    const holders = page.map(([, holder]) => holder)
    const [notes, later, dead, records] = await Promise.all([
      walk.queues.fields(walk.queue, 'where', holders),
      walk.queues.scoresOf(walk.queue, 'later', holders),
      walk.queues.scoresOf(walk.queue, 'dead', holders),
      walk.queues.fields(walk.queue, 'recs', holders),
    ])
    for (const [index, [key]] of page.entries()) {
      const record = dead[index] === undefined ? undefined : records[index]
      const isKept = record !== undefined && blocksKey(parseRecord(record).options)
      if (notes[index] === undefined && later[index] === undefined && !isKept) walk.suspects.keys.add(key)
    }
  }
}

async function walkPayloads(walk: Walk, places: readonly string[]): Promise<void> {
  for (let from = 0; from < places.length; from += PAGE) {
    const page = places.slice(from, from + PAGE)
    const [notes, records] = await Promise.all([
      walk.queues.fields(walk.queue, 'where', page),
      walk.audit.haveRecords(walk.queue, page),
    ])
    for (const [index, place] of page.entries()) {
      if (notes[index] === undefined && !records[index]) walk.suspects.add(place)
    }
  }
}
