import { type Clock, systemClock } from '../clock.ts'
import type { Logger } from '../logger.ts'
import { RepeatedWarning } from '../service/repeated-warning.ts'
import { IndexLostError } from './index-writer.ts'
import { isSameSettings } from './index-status.ts'
import { hashDefinition, settingsOf } from './projection.ts'
import { rebuildIndex, RebuildUnderWayError } from './rebuild.ts'
import type { IndexSettings } from './search-engine.ts'
import type { SearchIndex } from './search-index.ts'

export interface SearchSyncDeps {
  readonly indexes: readonly SearchIndex[]
  readonly log: Logger
  readonly clock?: Clock
  /** Told of what was brought to an index. */
  readonly onProgress?: (index: string, progress: { readonly indexed: number; readonly parked: number }) => void
}

/** What an index is doing here. */
export interface SyncHealth {
  readonly index: string
  /** `waiting`: another process writes it. */
  readonly state: 'starting' | 'waiting' | 'building' | 'following' | 'failing'
  readonly reason: string | undefined
}

const TAKE_AGAIN_MS = 500
const AFTER_FAILURE_MS = 1_000
const LOOK_AT_CONTROL_MS = 1_000
/** Between two looks at the log: short where something came, longer the longer nothing does. */
const SHORTEST_WAIT_MS = 10
const LONGEST_WAIT_MS = 250

/**
 * Keeps indexes as their tables are: follows the log for each of those that no other process follows, and builds those that there are none
 * of yet. Any number of processes may run it; what one leaves, another takes.
 */
export class SearchSync {
  readonly #deps: SearchSyncDeps
  readonly #clock: Clock
  readonly #health = new Map<string, SyncHealth>()
  #stop: AbortController | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(deps: SearchSyncDeps) {
    this.#deps = deps
    this.#clock = deps.clock ?? systemClock
    for (const { name } of deps.indexes) this.#tell(name, 'starting')
  }

  start(): void {
    if (this.#stop) return
    const stop = new AbortController()
    this.#stop = stop
    this.#running = Promise.all(this.#deps.indexes.map((index) => this.#keep(index, stop.signal))).then(() => {})
  }

  /** Settles what is under way, and lets others take the indexes. Twice is harmless. */
  async stop(): Promise<void> {
    this.#stop?.abort()
    await this.#running
  }

  health(): readonly SyncHealth[] {
    return [...this.#health.values()]
  }

  /** Keeps one index until the signal aborts, whatever fails. */
  async #keep(index: SearchIndex, signal: AbortSignal): Promise<void> {
    const warning = new RepeatedWarning(this.#deps.log, this.#clock)
    while (!signal.aborted) {
      try {
        const isMine = await this.#serve(index, signal, () =>
          warning.works(`Search index ${index.name} is followed again`),
        )
        if (!isMine) await this.#clock.wait(TAKE_AGAIN_MS, signal)
      } catch (error) {
        if (signal.aborted) return
        if (error instanceof IndexLostError) continue
        const reason = reasonOf(error)
        this.#tell(index.name, 'failing', reason)
        warning.failed(reason, `Search index ${index.name} stands still, and is tried again`, { index: index.name })
        await this.#clock.wait(AFTER_FAILURE_MS, signal)
      }
    }
  }

  /** Follows the log for the live generation until it is lost or given away. False: it is another process's, or there is none. */
  async #serve(index: SearchIndex, signal: AbortSignal, onWorking: () => void): Promise<boolean> {
    const live = await index.engine.live(index.name)
    if (!live) return this.#build(index, signal)
    // It is being replaced: the rebuild follows the log for the new one.
    if (await isAskedFor(index, live.generation)) return false
    const feed = await index.take(live.generation)
    if (!feed) {
      this.#tell(index.name, 'waiting')
      return false
    }
    try {
      this.#warnOfOldSettings(index, live.settings)
      await this.#warnOfUncaptured(index)
      await index.discardLeftovers()
      const writer = await index.writer(live.generation, feed, (progress) =>
        this.#deps.onProgress?.(index.name, progress),
      )
      let isWorking = false
      let waitMs = SHORTEST_WAIT_MS
      let lookAtMs = 0
      while (!signal.aborted) {
        if (this.#clock.monotonicMs() >= lookAtMs) {
          if (await mustLetGo(index, live.generation)) break
          lookAtMs = this.#clock.monotonicMs() + LOOK_AT_CONTROL_MS
        }
        const isBusy = await writer.step()
        // Only now: what fails at its first step stands still all the time.
        if (!isWorking) {
          isWorking = true
          this.#tell(index.name, 'following')
          // What cannot be deleted now is forgotten soon.
          await index.standstills.end(index.name).catch(() => {})
          onWorking()
        }
        waitMs = isBusy ? SHORTEST_WAIT_MS : Math.min(waitMs * 1.5, LONGEST_WAIT_MS)
        if (!isBusy || waitMs === SHORTEST_WAIT_MS) await this.#clock.wait(waitMs, signal)
      }
      await writer.settleAll()
      return true
    } catch (error) {
      this.#noteStandstill(index, error, signal)
      throw error
    } finally {
      await feed.leave()
    }
  }

  /** Builds an index for the first time. */
  async #build(index: SearchIndex, signal: AbortSignal): Promise<boolean> {
    const { log } = this.#deps
    try {
      this.#tell(index.name, 'building')
      log.info({ index: index.name }, 'There is no such search index yet: it is built')
      const { documents, parked } = await rebuildIndex(index, { allowFailed: Number.MAX_SAFE_INTEGER, signal })
      log.info({ index: index.name, documents, parked }, 'The search index is built')
      return true
    } catch (error) {
      if (!(error instanceof RebuildUnderWayError)) {
        this.#noteStandstill(index, error, signal)
        throw error
      }
      this.#tell(index.name, 'waiting')
      return false
    }
  }

  /** By who keeps the index, or builds it. Not waited for: where the database is away, that is the reason, and nothing can be written down. */
  #noteStandstill(index: SearchIndex, error: unknown, signal: AbortSignal): void {
    if (signal.aborted || error instanceof IndexLostError) return
    index.standstills.note(index.name, reasonOf(error)).catch(() => {})
  }

  #warnOfOldSettings(index: SearchIndex, found: IndexSettings): void {
    const wanted = settingsOf(index.doctype)
    if (isSameSettings(found, wanted)) return
    this.#deps.log.warn(
      { index: index.name, definition: hashDefinition(index.doctype) },
      `The definition of ${index.name} changed since its search index was built: run moca search rebuild ${index.name}. Until then it is searched as before`,
    )
  }

  async #warnOfUncaptured(index: SearchIndex): Promise<void> {
    const uncaptured = await index.findUncaptured()
    if (uncaptured.length === 0) return
    this.#deps.log.warn(
      { index: index.name, doctypes: uncaptured },
      `Changes of ${uncaptured.join(', ')} do not reach search index ${index.name}: run moca outbox capture ${uncaptured.join(', moca outbox capture ')}, then moca search rebuild ${index.name}`,
    )
  }

  #tell(index: string, state: SyncHealth['state'], reason?: string): void {
    this.#health.set(index, { index, state, reason })
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** Whether another generation is live, or a rebuild asks for this one. */
async function mustLetGo(index: SearchIndex, generation: string): Promise<boolean> {
  const [live, isAsked] = await Promise.all([index.engine.live(index.name), isAskedFor(index, generation)])
  return live?.generation !== generation || isAsked
}

/**
 * Whether a rebuild that somebody alive works on asks for the live generation: one that was killed while it asked gets nothing. Nor does one
 * that was killed after it had swapped: its own generation is the live one then, and who follows that would wait for himself.
 */
async function isAskedFor(index: SearchIndex, generation: string): Promise<boolean> {
  const rebuild = await index.rebuilds.find(index.name)
  if (!rebuild?.wantsLive || rebuild.generation === generation) return false
  return (await index.standing(rebuild.generation))?.owner !== undefined
}
