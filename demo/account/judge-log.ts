import type { LoggedRow } from '../documents/read-postgres.ts'
import type { Numbered } from '../recorded.ts'
import type { Committed, RecordedItem } from './committed.ts'
import type { Problem } from './problem.ts'

/** The writers' journals against the rows of Moca's log. */
export function judgeLog({ recorded }: Committed, log: readonly LoggedRow[]): Problem[] {
  const rows = Map.groupBy(log, nameOf)
  const known = new Set(recorded.map(nameOf))
  return [
    ...recorded.flatMap((item) => judgeItem(item, rows.get(nameOf(item)) ?? [])),
    ...log
      .filter((row) => !known.has(nameOf(row)))
      .map((row): Problem => {
        const expected = 'recorded by a committed transaction'
        return { kind: 'log-row-unknown', id: nameOf(row), expected, found: `row ${row.seq}, ${row.type} ${row.id}` }
      }),
    ...judgeOrder(log),
  ]
}

/** Of a subject there are either events or jobs. */
export function nameOf({ subject, number }: Numbered): string {
  return `${subject} ${number}`
}

function judgeItem(item: RecordedItem, rows: readonly LoggedRow[]): Problem[] {
  const id = nameOf(item)
  const expected = `one row of ${item.type}${item.id === undefined ? '' : ` ${item.id}`}, recorded by transaction ${item.transaction}`
  if (rows.length === 0) return [{ kind: 'log-row-missing', id, expected, found: 'none' }]
  const isIt = (row: LoggedRow) => row.type === item.type && (item.id === undefined || row.id === item.id)
  const [row] = rows
  if (rows.length === 1 && row && isIt(row)) return []
  const found = rows.map((row) => `row ${row.seq}, ${row.type} ${row.id}`).join('; ')
  return [{ kind: 'log-row-wrong', id, expected, found }]
}

/** Within a key, the log's own numbers follow the order of commits. */
function judgeOrder(log: readonly LoggedRow[]): Problem[] {
  const problems: Problem[] = []
  const last = new Map<string, LoggedRow>()
  for (const row of log.toSorted((a, b) => a.seq - b.seq)) {
    const before = last.get(row.subject)
    if (before && before.number > row.number) {
      const expected = `before ${nameOf(before)} (row ${before.seq})`
      problems.push({ kind: 'log-out-of-order', id: nameOf(row), expected, found: `row ${row.seq}, behind it` })
    }
    if (!before || before.number < row.number) last.set(row.subject, row)
  }
  return problems
}
