import { type Clock, systemClock } from '../clock.ts'
import type { DirtyNote } from '../search/dirty-documents.ts'
import type { SearchIndex } from '../search/search-index.ts'
import type { DrillFinding } from './drill-finding.ts'
import { lookUntil } from './look-until.ts'

/** A document that was marked to be indexed again. */
export interface IndexTrace {
  readonly index: string
  /** Undefined: the index has none. */
  readonly docname: string | undefined
  /** Who keeps the index, `host:process:session`; undefined: nobody. */
  readonly keeper: string | undefined
  readonly indexedMs: number | undefined
}

export interface MarkedDocument {
  readonly index: SearchIndex
  /** Undefined: it is not built. */
  readonly generation: string | undefined
  readonly docname: string | undefined
}

/** One document of each index, which is to be indexed as it is. */
export async function markDocuments(indexes: readonly SearchIndex[]): Promise<MarkedDocument[]> {
  return Promise.all(
    indexes.map(async (index): Promise<MarkedDocument> => {
      const live = await index.engine.live(index.name)
      if (!live) return { index, generation: undefined, docname: undefined }
      const { generation } = live
      // What is in the index can be indexed.
      const { documents } = await index.engine.readPage({ index: index.name, generation }, undefined, 1)
      const docname = documents[0]?.id
      if (docname !== undefined) await index.dirty(generation).mark([docname])
      return { index, generation, docname }
    }),
  )
}

export async function followIndexes(
  marked: readonly MarkedDocument[],
  { withinMs, clock = systemClock }: { readonly withinMs: number; readonly clock?: Clock },
): Promise<{ readonly indexes: readonly IndexTrace[]; readonly findings: readonly DrillFinding[] }> {
  const beganAtMs = clock.monotonicMs()
  const traces = await Promise.all(
    marked.map(async ({ index, generation, docname }) => {
      let indexedMs: number | undefined
      let note: DirtyNote | undefined
      if (generation !== undefined && docname !== undefined) {
        await lookUntil(
          async () => {
            note = await index.dirty(generation).find(docname)
            if (!note) indexedMs = clock.monotonicMs() - beganAtMs
            return !note || note.isParked
          },
          withinMs,
          clock,
        )
      }
      const keeper = generation === undefined ? undefined : (await index.standing(generation))?.owner
      const trace: IndexTrace = { index: index.name, docname, keeper, indexedMs }
      return { trace, finding: judgeIndex(trace, { isBuilt: generation !== undefined, note, withinMs }) }
    }),
  )
  return { indexes: traces.map(({ trace }) => trace), findings: traces.flatMap(({ finding }) => finding ?? []) }
}

function judgeIndex(
  { index, docname, keeper, indexedMs }: IndexTrace,
  {
    isBuilt,
    note,
    withinMs,
  }: { readonly isBuilt: boolean; readonly note: DirtyNote | undefined; readonly withinMs: number },
): DrillFinding | undefined {
  if (indexedMs !== undefined) return undefined
  const kind = 'canary_not_indexed'
  const start = 'Start a relay, or moca search sync'
  if (!isBuilt) return { kind, index, expected: 'an index', found: 'none is built', fix: start }
  if (docname === undefined) {
    // Nothing to index: who keeps it is all that there is to see.
    if (keeper !== undefined) return undefined
    return { kind, index, expected: 'somebody who keeps it', found: 'nobody', fix: start }
  }
  const expected = `document ${docname} indexed again within ${withinMs / 1_000} s`
  if (note?.error !== undefined) {
    const fix = `Mend the document or its projection, then moca search retry ${index}`
    return { kind, index, expected, found: `it is parked: ${note.error}`, fix }
  }
  const found = keeper === undefined ? 'nobody keeps the index' : `it waits; ${keeper} keeps the index`
  const fix = keeper === undefined ? start : `moca search status ${index}, and the log of ${keeper}, say why`
  return { kind, index, expected, found, fix }
}
