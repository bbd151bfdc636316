import type { ParkedDocument } from './dirty-documents.ts'
import { settingsOf } from './projection.ts'
import type { RebuildRecord, RebuildState } from './rebuild-store.ts'
import type { IndexSettings } from './search-engine.ts'
import type { SearchIndex } from './search-index.ts'
import type { Standstill } from './standstills.ts'

/** What stands where in one index. */
export interface IndexStatus {
  readonly index: string
  readonly rebuild: RebuildState | undefined
  /** Whether somebody alive works on it. */
  readonly isRebuilding: boolean
  readonly lastRebuild: RebuildRecord | undefined
  /** Doctypes whose changes do not reach it, because nothing records them. */
  readonly uncaptured: readonly string[]
  /** Why it cannot be built or brought on, though somebody tries. Undefined: it can, or nobody tries. */
  readonly standstill: Standstill | undefined
  /** Undefined: it is not built yet. */
  readonly live: LiveStatus | undefined
}

export interface LiveStatus {
  readonly generation: string
  readonly documents: number
  /** Changes, and documents marked to be indexed again. */
  readonly waiting: number
  readonly oldestWaitingMs: number | undefined
  /** Undefined: nobody writes it. */
  readonly owner: string | undefined
  readonly indexedLastMinute: number
  readonly parkedCount: number
  /** The first of them. */
  readonly parked: readonly ParkedDocument[]
  /** Its definition changed since it was built. */
  readonly isOutdated: boolean
}

/** All updates of indexes, as the queue that they would be if they were jobs (docs/decisions/0061-search-sync-is-read-from-the-log.md). */
export interface SyncView {
  readonly waiting: number
  readonly oldestWaitingMs: number | undefined
  readonly indexedLastMinute: number
  readonly parked: number
}

/** What `moca queue status` calls it. */
export const SYNC_QUEUE = 'search.sync'
const MOST_PARKED = 20

export async function readIndexStatus(index: SearchIndex): Promise<IndexStatus> {
  const [live, rebuild, lastRebuild, uncaptured, standstill] = await Promise.all([
    index.engine.live(index.name),
    index.rebuilds.find(index.name),
    index.rebuilds.last(index.name),
    index.findUncaptured(),
    index.standstills.find(index.name),
  ])
  const isRebuilding = rebuild !== undefined && (await index.standing(rebuild.generation))?.owner !== undefined
  const common = { index: index.name, rebuild, isRebuilding, lastRebuild, uncaptured, standstill }
  if (!live) return { ...common, live: undefined }
  const { generation, settings } = live
  const documents = index.dirty(generation)
  const [count, standing, dirty, parked] = await Promise.all([
    index.engine.count({ index: index.name, generation }),
    index.standing(generation),
    documents.count(),
    documents.listParked(MOST_PARKED),
  ])
  const oldest = [standing?.oldestWaitingAt, dirty.oldestAt].flatMap((at) => (at ? [at.getTime()] : []))
  return {
    ...common,
    live: {
      generation,
      documents: count,
      waiting: (standing?.waiting ?? 0) + dirty.waiting,
      oldestWaitingMs: oldest.length === 0 ? undefined : Math.max(0, Date.now() - Math.min(...oldest)),
      owner: standing?.owner,
      indexedLastMinute: standing?.settledLately ?? 0,
      parkedCount: dirty.parked,
      parked,
      isOutdated: !isSameSettings(settings, settingsOf(index.doctype)),
    },
  }
}

/** Undefined: there are no indexes. */
export async function readSyncView(indexes: readonly SearchIndex[]): Promise<SyncView | undefined> {
  if (indexes.length === 0) return undefined
  const lives = (await Promise.all(indexes.map(readIndexStatus))).flatMap(({ live }) => live ?? [])
  const sum = (read: (live: LiveStatus) => number) => lives.reduce((total, live) => total + read(live), 0)
  const ages = lives.flatMap(({ oldestWaitingMs }) => oldestWaitingMs ?? [])
  return {
    waiting: sum(({ waiting }) => waiting),
    oldestWaitingMs: ages.length === 0 ? undefined : Math.max(...ages),
    indexedLastMinute: sum(({ indexedLastMinute }) => indexedLastMinute),
    parked: sum(({ parkedCount }) => parkedCount),
  }
}

/** Whatever the order in which an engine gives them back. */
export function isSameSettings(one: IndexSettings, other: IndexSettings): boolean {
  const text = (settings: IndexSettings) =>
    JSON.stringify(Object.entries(settings).toSorted(([a], [b]) => (a < b ? -1 : 1)))
  return text(one) === text(other)
}
