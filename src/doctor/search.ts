import type { IndexStatus } from '../search/index-status.ts'
import { type Diagnosis, note, problem } from './diagnosis.ts'

/** An index that is so far behind is not merely busy. */
const LATE_MS = 60_000
/** Nobody has gone on with a rebuild for so long. */
const LEFT_LYING_MS = 10 * 60_000

/** Indexes that are not built, that nobody keeps, that are far behind, outdated, or have documents that cannot be indexed. */
export function checkSearch(indexes: readonly IndexStatus[], unclaimed: readonly string[], nowMs: number): Diagnosis[] {
  return [
    ...indexes.flatMap((status) => [...checkCaptured(status), ...checkLive(status), ...checkRebuild(status, nowMs)]),
    ...unclaimed.map((index) =>
      problem(
        `No doctype of the apps has search index ${index}, and nobody keeps it: the log is kept for it`,
        `Run moca search remove ${index}, or give its doctype search again.`,
      ),
    ),
  ]
}

function* checkCaptured({ index, uncaptured }: IndexStatus): Generator<Diagnosis> {
  for (const doctype of uncaptured) {
    yield problem(
      `Changes of ${doctype} do not reach search index ${index}: nothing records them`,
      `Run moca outbox capture ${doctype}, then moca search rebuild ${index}.`,
    )
  }
}

function* checkLive({ index, live, rebuild, standstill }: IndexStatus): Generator<Diagnosis> {
  if (standstill)
    yield problem(
      `Search index ${index} stands still since ${standstill.since.toISOString()}: ${standstill.reason}`,
      'Mend that: whoever keeps search indexes (moca outbox start, or moca search sync) tries it again and again.',
    )
  if (!live) {
    if (!rebuild && !standstill)
      yield problem(
        `Search index ${index} is not built`,
        'Start moca outbox start, or moca search sync: they build it.',
      )
    return
  }
  const { owner, oldestWaitingMs = 0, waiting, parkedCount, parked, isOutdated } = live
  if (owner === undefined && !standstill)
    yield problem(
      `Nobody keeps search index ${index}: changes do not reach it`,
      'Start moca outbox start, or moca search sync.',
    )
  else if (oldestWaitingMs > LATE_MS && !standstill)
    yield problem(
      `Search index ${index} is ${Math.round(oldestWaitingMs / 1000)} s behind: ${waiting} documents wait`,
      `See the log of ${owner}: an index that stands still says why there.`,
    )
  if (parkedCount > 0)
    yield problem(
      `${parkedCount} documents of search index ${index} cannot be indexed; ${parked[0]?.docname}: ${parked[0]?.error}`,
      `Mend them, then run moca search retry ${index}.`,
    )
  if (isOutdated)
    yield problem(
      `The definition of ${index} changed since its search index was built`,
      `Run moca search rebuild ${index}.`,
    )
}

function* checkRebuild({ index, rebuild, isRebuilding }: IndexStatus, nowMs: number): Generator<Diagnosis> {
  if (!rebuild || isRebuilding || nowMs - rebuild.updatedAt.getTime() < LEFT_LYING_MS) return
  yield note(
    `A rebuild of search index ${index} was left lying after ${rebuild.documents} rows; the log is kept for it`,
    `Run moca search rebuild ${index}: it goes on where it was.`,
  )
}
