import { systemClock } from '../clock.ts'
import { isOfDocuments } from './index-writer.ts'
import type { NamedRow } from './projection.ts'
import type { SearchIndex } from './search-index.ts'

export interface VerifyOptions {
  /** Default: the live one. */
  readonly generation: string
  /** Only these documents. Default: all. */
  readonly only?: readonly string[]
  /** Brings the index up to what is in the table now, before documents are looked at again. */
  readonly catchUp: () => Promise<void>
  readonly pageSize?: number
  /** After each page: to say that one is alive. */
  readonly onPage?: () => Promise<void>
  readonly signal?: AbortSignal
}

/** What an index has, beside what it should have: docnames, each list cut at `MOST_NAMED`. */
export interface IndexAccount {
  readonly index: string
  readonly generation: string
  /** Documents that were compared. */
  readonly documents: number
  /** In the table, and not in the index. */
  readonly missing: readonly string[]
  /** In both, and different. */
  readonly stale: readonly string[]
  /** In the index alone. */
  readonly orphaned: readonly string[]
  /** Those of the others that cannot be indexed, and are known. */
  readonly parked: readonly string[]
}

const PAGE = 1_000
/** Documents that change all the time are looked at so often until they hold still. */
const LOOKS = 20
const LOOK_AGAIN_MS = 250

const CATCH_UP_MS = 5_000
const CATCH_UP_LOOK_MS = 50

type Difference = 'missing' | 'stale' | 'orphaned'

/**
 * Compares an index with its table, document by document, by the hash of what the projection makes of each row. What differs is looked at
 * again once the index has caught up: what changed meanwhile is no difference.
 */
export async function verifyIndex(index: SearchIndex, options: VerifyOptions): Promise<IndexAccount> {
  const { generation } = options
  const parked = new Set((await index.dirty(generation).listParked(1_000_000)).map(({ docname }) => docname))
  const { documents, suspects } = options.only
    ? { documents: options.only.length, suspects: new Set(options.only) }
    : await compareAll(index, options)
  const differences = await lookAgain(index, options, suspects)
  const named = (wanted: Difference) =>
    [...differences].filter(([docname, found]) => found === wanted && !parked.has(docname)).map(([docname]) => docname)
  return {
    index: index.name,
    generation,
    documents,
    missing: named('missing'),
    stale: named('stale'),
    orphaned: named('orphaned'),
    parked: [...parked].toSorted(),
  }
}

/** Until nothing that is committed by now waits, or for 5 s: the index may be nobody's. */
export async function waitForSync(index: SearchIndex, generation: string): Promise<void> {
  const clock = index.clock ?? systemClock
  const deadline = clock.monotonicMs() + CATCH_UP_MS
  for (;;) {
    const [standing, { waiting }] = await Promise.all([index.standing(generation), index.dirty(generation).count()])
    if ((standing?.waiting === 0 && waiting === 0) || clock.monotonicMs() >= deadline) return
    await clock.wait(CATCH_UP_LOOK_MS)
  }
}

async function compareAll(
  index: SearchIndex,
  { generation, pageSize = PAGE, onPage, signal }: VerifyOptions,
): Promise<{ readonly documents: number; readonly suspects: Set<string> }> {
  const target = { index: index.name, generation }
  const suspects = new Set<string>()
  let documents = 0
  let after: string | undefined
  for (;;) {
    signal?.throwIfAborted()
    const rows = await index.rows.readPage(after, pageSize)
    for (const [docname] of await compare(
      index,
      generation,
      rows,
      rows.map(({ docname }) => docname),
    ))
      suspects.add(docname)
    documents += rows.length
    await onPage?.()
    after = rows.at(-1)?.docname
    if (rows.length < pageSize) break
  }
  // What the index has and the table has not.
  let next: string | undefined
  do {
    signal?.throwIfAborted()
    const page = await index.engine.readPage(target, next, pageSize)
    const ids = page.documents.map(({ id }) => id)
    const present = new Set((await index.rows.read(ids)).map(({ docname }) => docname))
    for (const id of ids) if (!present.has(id)) suspects.add(id)
    await onPage?.()
    next = page.next
  } while (next !== undefined)
  return { documents, suspects }
}

/** What still differs once the index has caught up. A document that changed between two looks is looked at again. */
async function lookAgain(
  index: SearchIndex,
  { generation, catchUp, signal }: VerifyOptions,
  suspects: ReadonlySet<string>,
): Promise<ReadonlyMap<string, Difference>> {
  const clock = index.clock ?? systemClock
  let left = [...suspects]
  const differences = new Map<string, Difference>()
  const fingerprints = new Map<string, string>()
  for (let look = 0; look < LOOKS && left.length > 0; look++) {
    signal?.throwIfAborted()
    await catchUp()
    const moving: string[] = []
    for (let from = 0; from < left.length; from += PAGE) {
      const docnames = left.slice(from, from + PAGE)
      const rows = await index.rows.read(docnames)
      const rowOf = new Map(rows.map(({ docname, row }) => [docname, JSON.stringify(row)]))
      const found = new Map(await compare(index, generation, rows, docnames))
      for (const docname of docnames) {
        const difference = found.get(docname)
        if (!difference) continue
        const fingerprint = `${difference} ${rowOf.get(docname) ?? ''}`
        // The same difference of the same row, after the index has caught up once more.
        if (fingerprints.get(docname) === fingerprint) differences.set(docname, difference)
        else moving.push(docname)
        fingerprints.set(docname, fingerprint)
      }
    }
    left = moving
    if (left.length > 0) await clock.wait(LOOK_AGAIN_MS, signal)
  }
  return differences
}

/** How these documents differ from what their rows make of them. */
async function compare(
  index: SearchIndex,
  generation: string,
  rows: readonly NamedRow[],
  docnames: readonly string[],
): Promise<[string, Difference][]> {
  const expected = new Map((await projectSafely(index, rows)).map(([docname, rev]) => [docname, rev]))
  const found = new Map(
    (await index.engine.readRevs({ index: index.name, generation }, docnames)).map(({ id, rev }) => [id, rev]),
  )
  return docnames.flatMap((docname): [string, Difference][] => {
    const [wanted, present] = [expected.get(docname), found.get(docname)]
    if (wanted === present) return []
    return [[docname, wanted === undefined ? 'orphaned' : present === undefined ? 'missing' : 'stale']]
  })
}

/** The revs of rows. One whose projection fails has a rev that nothing has: it is parked, or to be told. */
async function projectSafely(index: SearchIndex, rows: readonly NamedRow[]): Promise<[string, string][]> {
  try {
    return (await index.project(rows)).map(({ id, rev }) => [id, rev])
  } catch (error) {
    const [first] = rows
    if (!first || !isOfDocuments(error)) throw error
    if (rows.length === 1) return [[first.docname, 'cannot be projected']]
    const middle = Math.ceil(rows.length / 2)
    return [...(await projectSafely(index, rows.slice(0, middle))), ...(await projectSafely(index, rows.slice(middle)))]
  }
}
