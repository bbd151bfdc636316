import { isDeepStrictEqual } from 'node:util'
import type { FoundDocument, PostgresState } from '../documents/read-postgres.ts'
import type { DocumentChange } from '../documents/transaction-journal.ts'
import type { Committed } from './committed.ts'
import type { Problem } from './problem.ts'

export interface DocumentTotals {
  /** Documents that are there by the writers' word. */
  readonly committed: number
  readonly inTable: number
  /** Committed, and not in the table. */
  readonly lost: number
}

/** The writers' journals against the rows of PostgreSQL. */
export function judgeDocuments(
  committed: Committed,
  { documents, counters }: Pick<PostgresState, 'documents' | 'counters'>,
): { readonly totals: DocumentTotals; readonly problems: readonly Problem[] } {
  const inTable = new Map(documents.map((document) => [document.cityId, document]))
  const wanted = [...committed.documents.values()].filter(({ action }) => action !== 'deleted')
  const problems = [
    ...[...committed.documents.values()].flatMap((change) => judgeDocument(change, inTable.get(change.cityId))),
    ...documents.filter(({ cityId }) => !committed.documents.has(cityId)).map(unknown),
    ...committed.unsettled.map((id): Problem => {
      return { kind: 'unsettled', id, expected: 'committed or rolled back', found: 'nobody found out' }
    }),
    ...judgeCounters(committed, counters),
  ]
  return {
    totals: {
      committed: wanted.length,
      inTable: documents.length,
      lost: wanted.filter(({ cityId }) => !inTable.has(cityId)).length,
    },
    problems,
  }
}

function judgeDocument(
  { action, cityId, version, row }: DocumentChange,
  found: FoundDocument | undefined,
): readonly Problem[] {
  const id = `City ${cityId}`
  if (action === 'deleted') {
    if (!found) return []
    return [{ kind: 'document-unknown', id, expected: 'deleted by a committed transaction', found: 'in the table' }]
  }
  const expected = { ...row, cityId, version }
  if (!found)
    return [{ kind: 'document-lost', id, expected: JSON.stringify(expected), found: 'no such row in the table' }]
  if (isDeepStrictEqual({ ...found }, expected)) return []
  return [{ kind: 'document-wrong', id, expected: JSON.stringify(expected), found: JSON.stringify(found) }]
}

function unknown({ cityId, version }: FoundDocument): Problem {
  const expected = 'a document that a committed transaction wrote'
  return { kind: 'document-unknown', id: `City ${cityId}`, expected, found: `version ${version} in the table` }
}

/** What was counted under a lock, and committed, has no gaps: one would be a transaction that ended otherwise than the journals say. */
function judgeCounters({ recorded }: Committed, counters: ReadonlyMap<string, number>): Problem[] {
  const problems: Problem[] = []
  const bySubject = Map.groupBy(
    recorded.filter(({ id }) => id !== undefined),
    ({ subject }) => subject,
  )
  for (const subject of new Set([...bySubject.keys(), ...counters.keys()])) {
    const numbers = (bySubject.get(subject) ?? []).map(({ number }) => number).toSorted((a, b) => a - b)
    const counted = counters.get(subject) ?? 0
    if (numbers.length === counted && numbers.every((number, i) => number === i + 1)) continue
    const found = `${numbers.length} in the journals, up to ${numbers.at(-1) ?? 0}`
    problems.push({ kind: 'count', id: subject, expected: `1 to ${counted}, as PostgreSQL counted`, found })
  }
  return problems
}
