import { type Clock, systemClock } from '../clock.ts'
import { MocaError, SqlError } from '../errors.ts'
import type { Logger } from '../logger.ts'
import type { ChangeFeed, FeedBatch } from './change-feed.ts'
import type { DirtyDocument, DirtyDocuments } from './dirty-documents.ts'
import { DefinitionError, type NamedRow, type SearchedDoctype } from './projection.ts'
import type { RowReader } from './row-reader.ts'
import type { IndexGeneration, SearchDocument, SearchEngine, Ticket, TicketOutcome } from './search-engine.ts'

export interface IndexWriterDeps {
  readonly engine: SearchEngine
  readonly target: IndexGeneration
  readonly doctype: SearchedDoctype
  readonly feed: ChangeFeed
  readonly leaseMs: number
  readonly rows: RowReader
  readonly dirty: DirtyDocuments
  readonly project: (rows: readonly NamedRow[]) => Promise<readonly SearchDocument[]>
  readonly log: Logger
  readonly clock?: Clock
  /** Longest time for the projection of up to a thousand rows, ms. Default 5 minutes. */
  readonly projectionMs?: number
  /** Told of each piece that is in the index, and of each document that was parked. */
  readonly onProgress?: (progress: WriterProgress) => void
}

export interface WriterProgress {
  readonly indexed: number
  readonly parked: number
}

/** The index is another writer's. What this one had under way comes again to the other. */
export class IndexLostError extends Error {
  override readonly name = 'IndexLostError'
}

/** A part of what is under way, as it was submitted. */
interface Piece {
  readonly docnames: readonly string[]
  readonly ticket: Ticket
}

/** What was taken together, and counts as settled when all its pieces are. */
interface UnderWay {
  readonly batch?: FeedBatch
  readonly marks?: readonly DirtyDocument[]
  readonly docnames: ReadonlySet<string>
  pieces: readonly Piece[]
}

/** Documents by their names. Those of which there is none are to be deleted. */
type Documents = ReadonlyMap<string, SearchDocument>

/** Rows of a page, and their documents, or why they could not be made. */
export interface PreparedRows {
  readonly docnames: readonly string[]
  readonly documents?: Documents
  readonly error?: unknown
}

/** So many documents, and so many letters of them, go in one submission. */
const MOST_DOCUMENTS = 1_000
const MOST_LETTERS = 4_000_000
const MOST_UNDER_WAY = 4
const DIRTY_AT_ONCE = 1_000
/** While there is none. A change of an embedded document does not wait for it. */
const DIRTY_EVERY_MS = 500
const EMBEDDING_AT_ONCE = 1_000
const SETTLE_MS = 100
/** So many rows are projected at once. */
const MOST_PROJECTED = 1_000
/** A projection that is not done by then hangs. It may wait for something else than the database, and will never be. */
const PROJECTION_MS = 300_000
/** Of a lease, renewed so often. */
const RENEW_SHARE = 1 / 4
/** Nothing is submitted in the last part of a lease: it might arrive when the index is another one's. */
const LAST_SHARE = 1 / 3
const MOST_PARKED_KNOWN = 100_000

/**
 * Writes what changed to one generation of an index, as its only writer (docs/decisions/0059-the-search-sink.md): reads the rows of
 * documents that changed as they are now, submits what the projection makes of them, and settles what the engine has. A document that
 * cannot be indexed is found by halves and parked, by name; all others go on.
 */
export class IndexWriter {
  readonly #deps: IndexWriterDeps
  readonly #clock: Clock
  readonly #underWay: UnderWay[] = []
  readonly #parked = new Set<string>()
  #submission = 0
  #leaseEndsAtMs: number
  #dirtyDueAtMs = 0

  constructor(deps: IndexWriterDeps) {
    this.#deps = deps
    this.#clock = deps.clock ?? systemClock
    this.#leaseEndsAtMs = this.#clock.monotonicMs() + deps.leaseMs
  }

  /** To be called once, before anything else. */
  async prepare(): Promise<void> {
    for (const { docname } of await this.#deps.dirty.listParked(MOST_PARKED_KNOWN)) this.#parked.add(docname)
  }

  /**
   * One step: settles what the engine has, and brings what changed. Resolves with whether there was anything to do. Rejects with
   * IndexLostError when the index is another writer's, and with what an outage says: either ends this writer.
   */
  async step(): Promise<boolean> {
    await this.#makeRoom()
    const isFollowed = (await this.#follow()) !== undefined
    const isCleaned = await this.#clean()
    if (!isFollowed && !isCleaned && this.#underWay.length > 0) await this.#settle(SETTLE_MS)
    return isFollowed || isCleaned || this.#underWay.length > 0
  }

  /** Waits until all that is under way is settled. */
  async settleAll(): Promise<void> {
    while (this.#underWay.length > 0) {
      await this.keepLease()
      await this.#settle(SETTLE_MS)
    }
  }

  /** Brings all that is committed or marked by now, however much comes meanwhile. */
  async level(signal?: AbortSignal): Promise<void> {
    for (let isFresh = false; ; ) {
      signal?.throwIfAborted()
      await this.#makeRoom()
      const batch = await this.#follow()
      isFresh ||= batch?.beginsWindow ?? true
      if (isFresh && (batch?.endsWindow ?? true)) break
    }
    const last = await this.#deps.dirty.lastMark()
    do {
      signal?.throwIfAborted()
      await this.settleAll()
      this.#dirtyDueAtMs = 0
    } while (await this.#clean(last))
    await this.settleAll()
  }

  /** What the projection makes of rows: for pages of a rebuild, while the page before is written. */
  async prepareRows(rows: readonly NamedRow[]): Promise<PreparedRows> {
    const docnames = rows.map(({ docname }) => docname)
    try {
      return { docnames, documents: await this.#project(rows) }
    } catch (error) {
      if (!isOfDocuments(error)) throw error
      return { docnames, error }
    }
  }

  /** Puts the documents of rows, of which no others know, and waits until they are in the index. */
  async putRows({ docnames, documents, error }: PreparedRows): Promise<void> {
    const work: UnderWay = { docnames: new Set(docnames), pieces: [] }
    if (documents) work.pieces = await this.#submit(docnames, documents)
    else await this.#bringApart(docnames, { reason: reasonOf(error), ids: [] }, undefined)
    this.#underWay.push(work)
    await this.settleAll()
  }

  async #makeRoom(): Promise<void> {
    do {
      await this.keepLease()
      await this.#settle(this.#underWay.length >= MOST_UNDER_WAY ? SETTLE_MS : 0)
    } while (this.#underWay.length >= MOST_UNDER_WAY)
  }

  /** Says that this writer is alive, when it is time to. Rejects with IndexLostError when the index is another one's. */
  async keepLease(): Promise<void> {
    const { feed, leaseMs } = this.#deps
    const nowMs = this.#clock.monotonicMs()
    if (this.#leaseEndsAtMs - nowMs > leaseMs * (1 - RENEW_SHARE)) return
    if (!(await feed.renew())) throw this.#lost()
    this.#leaseEndsAtMs = nowMs + leaseMs
  }

  /** Takes the next batch of the log. */
  async #follow(): Promise<FeedBatch | undefined> {
    const { feed, doctype } = this.#deps
    const batch = await feed.next()
    if (!batch) return undefined
    const own = namesOf(batch, doctype.name)
    await this.#waitForOthers(own)
    const rows = await this.#deps.rows.read(own)
    if (!(await feed.intend(batch))) throw this.#lost()
    await this.#markEmbedding(batch)
    await this.#bring({ batch, docnames: new Set(own), pieces: [] }, rows)
    return batch
  }

  /** Takes documents that are marked; those that were marked up to a marking, if it is given. */
  async #clean(upto = Number.POSITIVE_INFINITY): Promise<boolean> {
    const nowMs = this.#clock.monotonicMs()
    if (nowMs < this.#dirtyDueAtMs || this.#underWay.some(({ marks }) => marks)) return false
    const marks = await this.#deps.dirty.next(DIRTY_AT_ONCE)
    this.#dirtyDueAtMs = marks.length > 0 ? 0 : nowMs + DIRTY_EVERY_MS
    if ((marks[0]?.mark ?? Number.POSITIVE_INFINITY) > upto || marks.length === 0) return false
    const docnames = marks.map(({ docname }) => docname)
    await this.#waitForOthers(docnames)
    await this.#bring({ marks, docnames: new Set(docnames), pieces: [] }, await this.#deps.rows.read(docnames))
    return true
  }

  /** No document is under way twice: what was read first might arrive last. */
  async #waitForOthers(docnames: readonly string[]): Promise<void> {
    while (this.#underWay.some((each) => docnames.some((docname) => each.docnames.has(docname)))) {
      await this.keepLease()
      await this.#settle(SETTLE_MS)
    }
  }

  /** Marks the documents that embed those of a batch that are another doctype's. Before the batch is settled, or they would be forgotten. */
  async #markEmbedding(batch: FeedBatch): Promise<void> {
    const { doctype, rows, dirty } = this.#deps
    for (const embed of doctype.search.embeds) {
      const changed = namesOf(batch, embed.doctype)
      if (changed.length === 0) continue
      for await (const chunk of rows.findEmbedding(embed, changed, EMBEDDING_AT_ONCE)) {
        await dirty.mark(chunk)
        await this.keepLease()
      }
      this.#dirtyDueAtMs = 0
    }
  }

  /** Submits what is to be put and deleted, or, where the projection fails, finds out for which documents. */
  async #bring(work: UnderWay, rows: readonly NamedRow[]): Promise<void> {
    const docnames = [...work.docnames]
    try {
      work.pieces = await this.#submit(docnames, await this.#project(rows))
    } catch (error) {
      if (!isOfDocuments(error)) throw error
      await this.#bringApart(docnames, { reason: reasonOf(error), ids: [] }, work.marks)
    }
    this.#underWay.push(work)
  }

  async #project(rows: readonly NamedRow[]): Promise<Documents> {
    const documents = new Map<string, SearchDocument>()
    for (let from = 0; from < rows.length; from += MOST_PROJECTED) {
      const part = rows.slice(from, from + MOST_PROJECTED)
      for (const document of await this.#meanwhileAlive(this.#deps.project(part), part.length))
        documents.set(document.id, document)
    }
    return documents
  }

  /**
   * Says that this writer is alive while a projection works, which may take longer than a lease: another writer would take the index, take as
   * long, and lose it likewise.
   */
  async #meanwhileAlive<T>(projection: Promise<T>, rows: number): Promise<T> {
    const { doctype, leaseMs, projectionMs = PROJECTION_MS } = this.#deps
    const isOver = new AbortController()
    const deadline = this.#clock.monotonicMs() + projectionMs
    const keep = async (): Promise<never> => {
      for (;;) {
        await this.#clock.wait(Math.min(leaseMs * RENEW_SHARE, projectionMs), isOver.signal)
        if (isOver.signal.aborted) throw new Error('The projection is done')
        if (this.#clock.monotonicMs() >= deadline) {
          throw new DefinitionError(
            `search.project of doctype ${doctype.name} was not done with ${rows} rows within ${projectionMs / 1000} s: it hangs, or does too much`,
          )
        }
        await this.keepLease()
      }
    }
    try {
      return await Promise.race([projection, keep()])
    } finally {
      isOver.abort()
    }
  }

  async #submit(docnames: readonly string[], documents: Documents): Promise<Piece[]> {
    const pieces: Piece[] = []
    for (const part of partsOf(docnames, documents)) {
      const ticket = await this.#send(
        part.flatMap((docname) => documents.get(docname) ?? []),
        part.filter((docname) => !documents.has(docname)),
      )
      pieces.push({ docnames: part, ticket })
    }
    return pieces
  }

  async #send(put: readonly SearchDocument[], deleted: readonly string[]): Promise<Ticket> {
    const { engine, target, feed, leaseMs } = this.#deps
    await this.keepLease()
    // The process may have been stopped since: what arrives after the lease would come behind the next writer's.
    if (this.#leaseEndsAtMs - this.#clock.monotonicMs() < leaseMs * LAST_SHARE) throw this.#lost()
    this.#submission++
    return engine.submit({
      target,
      version: { epoch: feed.epoch, submission: this.#submission },
      put,
      delete: deleted,
    })
  }

  /** Looks once at all that is under way. Whether anything was settled. */
  async #settle(waitMs: number): Promise<boolean> {
    if (this.#underWay.length === 0) return false
    const pieces = this.#underWay.flatMap((each) => each.pieces)
    const outcomes = await this.#deps.engine.settle(
      pieces.map(({ ticket }) => ticket),
      waitMs,
    )
    const outcomeOf = new Map(pieces.map((piece, index) => [piece, outcomes[index] ?? { status: 'pending' as const }]))
    let isSettled = false
    for (const work of this.#underWay.slice()) {
      work.pieces = await this.#judge(work, outcomeOf)
      if (work.pieces.length > 0) continue
      await this.#conclude(work)
      isSettled = true
    }
    return isSettled
  }

  /** The pieces that are still pending. */
  async #judge(work: UnderWay, outcomeOf: ReadonlyMap<Piece, TicketOutcome>): Promise<Piece[]> {
    const pending: Piece[] = []
    for (const piece of work.pieces) {
      const outcome = outcomeOf.get(piece)
      if (!outcome || outcome.status === 'pending') pending.push(piece)
      else if (outcome.status === 'succeeded') await this.#arrived(piece.docnames)
      else if (outcome.status === 'superseded') throw this.#lost()
      else if (outcome.status === 'overtaken') pending.push(...(await this.#submitAgain(piece.docnames)))
      else await this.#bringApart(piece.docnames, outcome, work.marks)
    }
    return pending
  }

  async #submitAgain(docnames: readonly string[]): Promise<Piece[]> {
    return this.#submit(docnames, await this.#project(await this.#deps.rows.read(docnames)))
  }

  async #conclude(work: UnderWay): Promise<void> {
    const { feed, dirty } = this.#deps
    if (work.batch && !(await feed.settle(work.batch))) {
      // Another one has the index. It reads what was not settled again; but on an engine that knows no versions, what this one submitted
      // may have come after that.
      await dirty.mark([...work.docnames])
      throw this.#lost()
    }
    if (work.marks) await dirty.done(work.marks)
    this.#underWay.splice(this.#underWay.indexOf(work), 1)
  }

  async #arrived(docnames: readonly string[]): Promise<void> {
    this.#deps.onProgress?.({ indexed: docnames.length, parked: 0 })
    if (this.#parked.size === 0) return
    const mended = docnames.filter((docname) => this.#parked.has(docname))
    if (mended.length === 0) return
    await this.#deps.dirty.unpark(mended)
    for (const docname of mended) this.#parked.delete(docname)
  }

  /** Brings documents that failed together, in ever smaller parts; one that fails alone is parked. Rows are read again for each part. */
  async #bringApart(
    docnames: readonly string[],
    failed: Pick<Extract<TicketOutcome, { status: 'failed' }>, 'reason' | 'ids'>,
    marks: readonly DirtyDocument[] | undefined,
  ): Promise<void> {
    const parts = split(docnames, failed.ids)
    if (parts.length === 0) return this.#park(docnames[0] as string, failed.reason, marks)
    for (const part of parts) {
      const outcome = await this.#bringAlone(part)
      if (outcome) await this.#bringApart(part, outcome, marks)
    }
  }

  /** Undefined: they are in the index. */
  async #bringAlone(
    docnames: readonly string[],
  ): Promise<Pick<Extract<TicketOutcome, { status: 'failed' }>, 'reason' | 'ids'> | undefined> {
    try {
      for (const { docnames: part, ticket } of await this.#submitAgain(docnames)) {
        const outcome = await this.#waitFor(ticket)
        if (outcome.status === 'superseded') throw this.#lost()
        if (outcome.status === 'overtaken') return this.#bringAlone(docnames)
        if (outcome.status === 'failed') return outcome
        await this.#arrived(part)
      }
      return undefined
    } catch (error) {
      if (!isOfDocuments(error)) throw error
      return { reason: reasonOf(error), ids: [] }
    }
  }

  async #waitFor(ticket: Ticket): Promise<Exclude<TicketOutcome, { status: 'pending' }>> {
    for (;;) {
      await this.keepLease()
      const [outcome] = await this.#deps.engine.settle([ticket], SETTLE_MS)
      if (outcome && outcome.status !== 'pending') return outcome
    }
  }

  async #park(docname: string, reason: string, marks: readonly DirtyDocument[] | undefined): Promise<void> {
    const { dirty, log, target, onProgress } = this.#deps
    await dirty.park(docname, reason, marks?.find((each) => each.docname === docname)?.mark)
    this.#parked.add(docname)
    onProgress?.({ indexed: 0, parked: 1 })
    log.warn(
      { index: target.index, docname, reason },
      'A document cannot be indexed, and is parked: moca search status',
    )
  }

  #lost(): IndexLostError {
    const { index, generation } = this.#deps.target
    return new IndexLostError(`Index ${index} (${generation}) is another writer's`)
  }
}

function namesOf(batch: FeedBatch, doctype: string): string[] {
  return batch.documents.filter((document) => document.doctype === doctype).map(({ docname }) => docname)
}

/** Parts that are not too large to be submitted at once. */
function* partsOf(docnames: readonly string[], documents: Documents): Generator<readonly string[]> {
  let part: string[] = []
  let letters = 0
  for (const docname of docnames) {
    const document = documents.get(docname)
    const size = document?.size ?? 0
    if (part.length > 0 && (part.length >= MOST_DOCUMENTS || letters + size > MOST_LETTERS)) {
      yield part
      part = []
      letters = 0
    }
    part.push(docname)
    letters += size
  }
  if (part.length > 0) yield part
}

/** Those at fault one by one and the others together, or halves. Nothing: there is only one. */
function split(docnames: readonly string[], ids: readonly string[]): readonly (readonly string[])[] {
  if (docnames.length === 1) return []
  const atFault = docnames.filter((docname) => ids.includes(docname))
  if (atFault.length > 0 && atFault.length < docnames.length) {
    return [docnames.filter((docname) => !atFault.includes(docname)), ...atFault.map((docname) => [docname])]
  }
  const middle = Math.ceil(docnames.length / 2)
  return [docnames.slice(0, middle), docnames.slice(middle)]
}

/** A statement that is wrong, or a table that is not there: so it is for every document. */
const WRONG_STATEMENT = /^(42|3F)/

/** Whether it may be the documents' own fault: an outage, a wrong definition or a lost index says nothing of them. */
export function isOfDocuments(error: unknown): boolean {
  if (error instanceof IndexLostError || error instanceof DefinitionError) return false
  if (error instanceof SqlError) return !error.retryable && !WRONG_STATEMENT.test(error.sqlState)
  if (error instanceof MocaError) return false
  return error instanceof Error && !isOfServer(error)
}

/** Of Node (ECONNREFUSED), and of PostgreSQL as any client hands them on: outages, limits of the server, and statements that are wrong. */
const OF_SERVER = /^(E[A-Z]+|(08|3F|40|42|53|57|58|XX)[0-9A-Z]{3})$/
/** A cause may be its own. */
const MOST_CAUSES = 10

/** A projection may ask the database by the application's own client, which knows nothing of ours; ORMs wrap what that says. */
function isOfServer(error: Error): boolean {
  let found: unknown = error
  for (let depth = 0; depth < MOST_CAUSES && found instanceof Error; depth++) {
    const { code, cause } = found as Error & { readonly code?: unknown }
    if (typeof code === 'string' && OF_SERVER.test(code)) return true
    found = cause
  }
  return false
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
