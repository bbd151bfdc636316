import { randomBytes } from 'node:crypto'
import { systemClock } from '../clock.ts'
import { MocaError, OptionError } from '../errors.ts'
import { type ChangeFeed, positionOf } from './change-feed.ts'
import type { IndexWriter } from './index-writer.ts'
import { hashDefinition, settingsOf } from './projection.ts'
import type { RebuildState } from './rebuild-store.ts'
import type { SearchIndex } from './search-index.ts'
import { verifyIndex } from './verify-index.ts'

export interface RebuildOptions {
  /** So many documents may be parked, and it is swapped in all the same. Default 0. */
  readonly allowFailed?: number
  /** Rows in a page. Default 200. */
  readonly pageSize?: number
  readonly onProgress?: (progress: RebuildProgress) => void
  readonly signal?: AbortSignal
}

export interface RebuildProgress {
  readonly step: 'copying' | 'following' | 'verifying' | 'swapping'
  readonly generation: string
  /** Rows that were read. */
  readonly documents: number
  /** By the table's statistics. Undefined: unknown. */
  readonly expected: number | undefined
  readonly parked: number
  /** It goes on where another process was killed. */
  readonly isResumed: boolean
}

export interface RebuildResult {
  readonly index: string
  readonly generation: string
  /** Undefined: the index had none. */
  readonly replaced: string | undefined
  readonly documents: number
  readonly parked: number
}

/** Somebody else rebuilds the index. */
export class RebuildUnderWayError extends MocaError {
  readonly state: RebuildState

  constructor(state: RebuildState) {
    const since = state.beganAt.toISOString()
    super(
      'search_busy',
      `Index ${state.index} is being rebuilt by ${state.owner} since ${since}, ${state.documents} rows so far. Wait for it, or end that process: this command then goes on where it was`,
      { retryable: true, facts: { index: state.index, owner: state.owner, documents: state.documents } },
    )
    this.state = state
  }
}

/** The shadow was not as its table is, or has too many documents that cannot be indexed. It is kept, and the live index is as it was. */
class RebuildRefusedError extends MocaError {
  constructor(message: string, facts: Readonly<Record<string, unknown>>) {
    super('search_differs', message, { facts })
  }
}

/** Larger ones are a tenth faster, and let the heap grow by a tenth or more. */
const PAGE = 200
/** So many documents are compared with their rows before the swap; moca search verify compares all. */
const SAMPLE = 2_000
const WAIT_FOR_LIVE_MS = 50
const MOST_NAMED = 3

/**
 * Builds an index anew beside the live one, and takes its place at once (docs/decisions/0060-rebuild.md): the shadow's position in the log
 * begins before its first page is read, so that whatever is written meanwhile is followed afterwards. Killed anywhere, the next call goes on.
 */
export async function rebuildIndex(index: SearchIndex, options: RebuildOptions = {}): Promise<RebuildResult> {
  const { state, feed, isResumed } = await open(index)
  let parked = 0
  const writer = await index.writer(state.generation, feed, (progress) => {
    parked += progress.parked
  })
  let documents = state.documents
  const tell = (step: RebuildProgress['step']) => {
    const { generation, expected } = state
    options.onProgress?.({ step, generation, documents, expected, parked, isResumed })
  }
  const sample = new Sample(SAMPLE)
  try {
    // What was parked by the process before may be mended: in the code as well, which no change of a row tells.
    if (isResumed) await index.dirty(state.generation).retry()
    if (!state.isCopied) {
      await copy(index, state, writer, options, (copied, docnames) => {
        documents = copied
        sample.add(docnames)
        tell('copying')
      })
    }
    tell('following')
    await writer.level(options.signal)
    tell('verifying')
    // Of pages that another process read nothing was taken: then all of it is compared.
    await requireFewParked(index, state, options)
    await verifyShadow(index, state, writer, isResumed ? undefined : sample.taken, options)
    tell('swapping')
    const replaced = await swap(index, state, writer, options)
    const { parked: left } = await index.dirty(state.generation).count()
    return { index: index.name, generation: state.generation, replaced, documents, parked: left }
  } finally {
    await feed.leave()
  }
}

interface OpenRebuild {
  readonly state: RebuildState
  readonly feed: ChangeFeed
  readonly isResumed: boolean
}

/** Begins a rebuild, or takes over one that was left lying. */
async function open(index: SearchIndex): Promise<OpenRebuild> {
  const definition = hashDefinition(index.doctype)
  const generation = newGeneration()
  const expected = await index.rows.estimate()
  const { owner, name } = index
  const state = await index.rebuilds.begin({ index: name, generation, definition, owner, expected })
  const live = await index.engine.live(name)
  // It was killed between the swap and its note.
  if (live?.generation === state.generation) {
    await index.rebuilds.end(name, state.generation, 'swapped')
    await index.discardLeftovers()
    return open(index)
  }
  // Before anything of it is read or made: what is committed from here on is followed.
  await index.feeds.begin(positionOf(name, state.generation))
  const feed = await index.take(state.generation)
  if (!feed) throw new RebuildUnderWayError((await index.rebuilds.find(name)) ?? state)
  try {
    if (state.definition !== definition) {
      await index.rebuilds.end(name, state.generation, 'given up')
      await feed.leave()
      await index.discard(state.generation)
      return await open(index)
    }
    await index.rebuilds.adopt(name, state.generation, owner)
    await index.engine.create({ index: name, generation: state.generation }, settingsOf(index.doctype))
    await index.discardLeftovers()
    return { state, feed, isResumed: state.generation !== generation }
  } catch (error) {
    await feed.leave()
    throw error
  }
}

/** Reads the table page by page, from where it had come to. The next page is read and projected while this one is written. */
async function copy(
  index: SearchIndex,
  { generation, afterDocname, documents }: RebuildState,
  writer: IndexWriter,
  { pageSize = PAGE, signal }: RebuildOptions,
  onPage: (documents: number, docnames: readonly string[]) => void,
): Promise<void> {
  const prepare = async (after: string | undefined) => writer.prepareRows(await index.rows.readPage(after, pageSize))
  let copied = documents
  let page = await prepare(afterDocname)
  while (page.docnames.length > 0) {
    signal?.throwIfAborted()
    const last = page.docnames.at(-1) as string
    const isFull = page.docnames.length >= pageSize
    const next = isFull ? prepare(last) : Promise.resolve({ docnames: [] })
    next.catch(() => {}) // told when it is waited for
    await writer.putRows(page)
    copied += page.docnames.length
    await index.rebuilds.noteCopied(index.name, generation, last, copied)
    onPage(copied, page.docnames)
    page = await next
  }
  await index.rebuilds.noteAllCopied(index.name, generation)
}

async function requireFewParked(
  index: SearchIndex,
  { generation }: RebuildState,
  { allowFailed = 0 }: RebuildOptions,
): Promise<void> {
  const documents = index.dirty(generation)
  const { parked } = await documents.count()
  if (parked <= allowFailed) return
  const first = (await documents.listParked(MOST_NAMED)).map(({ docname, error }) => `${docname}: ${error}`)
  throw new RebuildRefusedError(
    `${parked} documents of ${index.name} cannot be indexed (${first.join('; ')}${parked > first.length ? '; ...' : ''}). The live index is as it was. Mend them and run it again, or allow so many with --allow-failed ${parked}`,
    { index: index.name, parked, first },
  )
}

async function verifyShadow(
  index: SearchIndex,
  { generation }: RebuildState,
  writer: IndexWriter,
  sample: readonly string[] | undefined,
  { signal }: RebuildOptions,
): Promise<void> {
  const compare = (only: readonly string[] | undefined) =>
    verifyIndex(index, {
      generation,
      ...(only && { only }),
      catchUp: () => writer.level(signal),
      onPage: () => writer.keepLease(),
      ...(signal && { signal }),
    })
  let { missing, stale, orphaned } = await compare(sample)
  const different = [...missing, ...stale, ...orphaned]
  if (sample === undefined && different.length > 0) {
    // The process before may have had other code, of which the hash of the definition knows nothing: what a projection calls.
    await index.dirty(generation).mark(different)
    await writer.level(signal)
    ;({ missing, stale, orphaned } = await compare(different))
  }
  const count = missing.length + stale.length + orphaned.length
  if (count === 0) return
  throw new RebuildRefusedError(
    `The new generation of ${index.name} is not as its table is: ${missing.length} documents missing, ${stale.length} stale, ${orphaned.length} orphaned. The live index is as it was. If search.project depends on anything but the database, that is why; run it again`,
    { index: index.name, missing: missing.slice(0, 10), stale: stale.slice(0, 10), orphaned: orphaned.slice(0, 10) },
  )
}

/**
 * The writer of the live index lets go first: on an engine that does what comes last, its documents would land in the new generation. The
 * engine is asked which generation is live before it is told to swap, each time: a swap that is sent twice would swap back.
 */
async function swap(
  index: SearchIndex,
  { generation }: RebuildState,
  writer: IndexWriter,
  { signal }: RebuildOptions,
): Promise<string | undefined> {
  const live = (await index.engine.live(index.name))?.generation
  const lead = live === undefined ? undefined : await takeLive(index, generation, live, writer, signal)
  try {
    await writer.level(signal)
    const outcome = await index.engine.swap(index.name, live, generation)
    if (outcome === 'not-live') {
      throw new OptionError(`Index ${index.name} was replaced by somebody else while it was rebuilt`, {
        index: index.name,
      })
    }
    await index.rebuilds.end(index.name, generation, 'swapped')
  } finally {
    await lead?.leave()
  }
  if (live !== undefined) await index.discardIfUnread(live)
  return live
}

/** Asks for the live index until its writer has let go of it. The shadow is kept level meanwhile. */
async function takeLive(
  index: SearchIndex,
  generation: string,
  live: string,
  writer: IndexWriter,
  signal: AbortSignal | undefined,
): Promise<ChangeFeed> {
  const clock = index.clock ?? systemClock
  try {
    for (;;) {
      signal?.throwIfAborted()
      await index.rebuilds.wantLive(index.name, generation, true)
      const feed = await index.take(live)
      if (feed) return feed
      await writer.level(signal)
      await clock.wait(WAIT_FOR_LIVE_MS, signal)
    }
  } catch (error) {
    await index.rebuilds.wantLive(index.name, generation, false)
    throw error
  }
}

/** A few of many, each with the same chance (reservoir sampling). */
class Sample {
  readonly taken: string[] = []
  readonly #most: number
  #seen = 0

  constructor(most: number) {
    this.#most = most
  }

  add(docnames: readonly string[]): void {
    for (const docname of docnames) {
      this.#seen++
      const place = this.taken.length < this.#most ? this.taken.length : Math.floor(Math.random() * this.#seen)
      if (place < this.#most) this.taken[place] = docname
    }
  }
}

/** Sorted by time, and told apart by chance. */
function newGeneration(): string {
  const time = new Date().toISOString().replaceAll(/[-:]|\.\d+Z$/g, '')
  return `${time}-${randomBytes(3).toString('hex')}`
}
