import type { TransactionLine } from '../documents/transaction-journal.ts'
import type { Committed, Intent } from './committed.ts'
import type { Problem } from './problem.ts'

/** A run without rollbacks, late commits and lost answers proves little. */
export function judgeTransactions(
  journal: readonly TransactionLine[],
  { intents, outcomes }: Committed,
  { lateMs }: { readonly lateMs: number },
): Problem[] {
  const committed = intents.filter(({ transaction }) => outcomes.get(transaction) === 'committed')
  const changed = (action: string) =>
    committed.some(({ changes }) => changes.some((change) => change.action === action))
  const sizes = new Set(committed.map(({ changes }) => changes.length))
  const wanted: [id: string, expected: string, isTrue: boolean][] = [
    ['transactions', 'of mixed size', sizes.size >= 3],
    ['a transaction', 'to be rolled back', intents.some(({ ending }) => ending === 'rollback')],
    ['a transaction', `to commit after ${lateMs} ms, when later ones had`, committed.some(isLate)],
    ['a COMMIT', 'whose answer was lost, to be settled later', journal.some(({ kind }) => kind === 'settled')],
    ['a document', 'to be updated', changed('updated')],
    ['a document', 'to be deleted', changed('deleted')],
    [
      'a transaction',
      'to record a job',
      committed.some(({ recordings }) => recordings.some(({ kind }) => kind === 'job')),
    ],
  ]
  return wanted
    .filter(([, , isTrue]) => !isTrue)
    .map(([id, expected]): Problem => ({ kind: 'not-tried', id, expected, found: 'it did not happen' }))

  function isLate({ openMs, us }: Intent): boolean {
    if (openMs < lateMs) return false
    return committed.some((other) => other.us < us && other.us - other.openMs * 1_000 > us - openMs * 1_000)
  }
}
