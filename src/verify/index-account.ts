import type { SearchIndex } from '../search/search-index.ts'
import { type IndexAccount, verifyIndex, waitForSync } from '../search/verify-index.ts'

export interface IndexFinding {
  readonly kind: /** There is no index, where the apps say that there is one. */
    | 'index_not_built'
    /** A document is in the table, and not in the index. */
    | 'document_missing'
    /** A document of the index is not what its row says. */
    | 'document_stale'
    /** A document is in the index alone. */
    | 'document_orphaned'
  readonly index: string
  /** The document. Undefined: it is about the index, or about more of that kind than are named. */
  readonly docname?: string
  readonly expected: string
  readonly found: string
  readonly fix: string
}

/** How many documents of one index were compared, and how many of them differ in which way. */
export interface IndexTotals {
  readonly index: string
  readonly documents: number
  readonly missing: number
  readonly stale: number
  readonly orphaned: number
  /** They cannot be indexed, which is known. */
  readonly parked: number
}

export interface IndexesAccount {
  readonly indexes: readonly IndexTotals[]
  readonly findings: readonly IndexFinding[]
}

/** Documents of one kind and index that are named one by one. */
const MOST_NAMED = 50

/** Compares search indexes with their tables, document by document. What is changed meanwhile is no difference. */
export async function accountIndexes(indexes: readonly SearchIndex[]): Promise<IndexesAccount> {
  const totals: IndexTotals[] = []
  const findings: IndexFinding[] = []
  for (const index of indexes) {
    const live = await index.engine.live(index.name)
    if (!live) {
      findings.push(notBuilt(index.name))
      continue
    }
    const { generation } = live
    const account = await verifyIndex(index, { generation, catchUp: () => waitForSync(index, generation) })
    totals.push(totalsOf(account))
    findings.push(...findingsOf(account))
  }
  return { indexes: totals, findings }
}

export function totalsOf({ index, documents, missing, stale, orphaned, parked }: IndexAccount): IndexTotals {
  return {
    index,
    documents,
    missing: missing.length,
    stale: stale.length,
    orphaned: orphaned.length,
    parked: parked.length,
  }
}

function findingsOf({ index, missing, stale, orphaned }: IndexAccount): IndexFinding[] {
  const fix = `moca search verify ${index} --repair has them indexed again; moca search status says who keeps the index`
  const name = (kind: IndexFinding['kind'], docnames: readonly string[], expected: string, found: string) => {
    const named = docnames.slice(0, MOST_NAMED).map((docname) => ({ kind, index, docname, expected, found, fix }))
    const others = docnames.length - named.length
    return others > 0 ? [...named, { kind, index, expected, found: `${found}, of ${others} more`, fix }] : named
  }
  return [
    ...name('document_missing', missing, 'a document of this row', 'none'),
    ...name('document_stale', stale, 'a document as its row is now', 'another one'),
    ...name('document_orphaned', orphaned, 'no document: there is no row that makes one', 'one'),
  ]
}

function notBuilt(index: string): IndexFinding {
  const fix = `Start moca search sync, or a relay, or run moca search rebuild ${index}`
  return { kind: 'index_not_built', index, expected: 'an index that follows its table', found: 'none', fix }
}
