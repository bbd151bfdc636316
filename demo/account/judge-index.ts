import { isDeepStrictEqual } from 'node:util'
import type { FoundDocument, IndexedDocument, PostgresState } from '../documents/read-postgres.ts'
import type { Problem } from './problem.ts'

export interface SearchTotals {
  /** Documents in the index. */
  readonly indexed: number
  /** In the table, and not in the index. */
  readonly missing: number
  /** In both, and not at the same version, or otherwise than the row. */
  readonly stale: number
  /** In the index alone. */
  readonly orphaned: number
}

/** The rows of the table against those of the index, both read by plain SQL at one instant. */
export function judgeIndex({ documents, index }: Pick<PostgresState, 'documents' | 'index'>): {
  readonly totals: SearchTotals
  readonly problems: readonly Problem[]
} {
  const indexed = new Map(index.map((document) => [document.id, document]))
  const rows = new Set(documents.map(({ cityId }) => String(cityId)))
  const missing = documents.filter(({ cityId }) => !indexed.has(String(cityId)))
  const stale = documents.flatMap((row): [FoundDocument, IndexedDocument][] => {
    const document = indexed.get(String(row.cityId))
    return document && !isDeepStrictEqual(document.fields, fieldsOf(row)) ? [[row, document]] : []
  })
  const orphaned = index.filter(({ id }) => !rows.has(id))
  return {
    totals: { indexed: index.length, missing: missing.length, stale: stale.length, orphaned: orphaned.length },
    problems: [
      ...missing.map((row): Problem => {
        const found = 'no such document in the index'
        return { kind: 'index-missing', id: `City ${row.cityId}`, expected: JSON.stringify(fieldsOf(row)), found }
      }),
      ...stale.map(([row, { fields }]): Problem => {
        const expected = JSON.stringify(fieldsOf(row))
        return { kind: 'index-stale', id: `City ${row.cityId}`, expected, found: JSON.stringify(fields) }
      }),
      ...orphaned.map(({ id, fields }): Problem => {
        const found = JSON.stringify(fields)
        return { kind: 'index-orphaned', id: `City ${id}`, expected: 'no document: there is no such row', found }
      }),
    ],
  }
}

/** What the index must hold of a row. */
function fieldsOf({ name, country, population, version }: FoundDocument): IndexedDocument['fields'] {
  return { name, country, population, version }
}
