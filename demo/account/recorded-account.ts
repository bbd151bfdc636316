import type { DeliveryLine } from '../delivery-ledger.ts'
import type { PostgresState } from '../documents/read-postgres.ts'
import type { TransactionLine } from '../documents/transaction-journal.ts'
import type { RawWalk } from '../raw-walk.ts'
import { readCommitted } from './committed.ts'
import { type EventTotals, judgeDeliveries } from './judge-deliveries.ts'
import { type DocumentTotals, judgeDocuments } from './judge-documents.ts'
import { judgeIndex, type SearchTotals } from './judge-index.ts'
import { judgeLog } from './judge-log.ts'
import { judgePositions } from './judge-positions.ts'
import { judgeTransactions } from './judge-transactions.ts'
import type { Problem } from './problem.ts'

/** What the account of recorded things is made from. Its sides come from different sources, so that no mistake is on both. */
export interface RecordedEvidence {
  /** From the writers. */
  readonly journal: readonly TransactionLine[]
  /** From PostgreSQL, by plain SQL. */
  readonly postgres: PostgresState
  /** From the handlers. */
  readonly ledger: readonly DeliveryLine[]
  /** From Redis, by plain commands. */
  readonly walk: Pick<RawWalk, 'jobs' | 'positions'>
  /** From the source data: subjects of documents that cannot be enriched. */
  readonly dying: ReadonlySet<string>
  readonly lateMs: number
}

export interface RecordedAccount {
  readonly documents: DocumentTotals
  readonly events: EventTotals
  readonly search: SearchTotals
  /** Rows that Moca says it sent again, because Redis had forgotten them. */
  readonly sentAgain: number
  readonly problems: readonly Problem[]
}

/** What became of everything that was written and recorded in transactions. Pure. */
export function makeRecordedAccount(evidence: RecordedEvidence): RecordedAccount {
  const { journal, postgres, ledger, walk, dying, lateMs } = evidence
  const committed = readCommitted(journal)
  const documents = judgeDocuments(committed, postgres)
  const search = judgeIndex(postgres)
  const events = judgeDeliveries({ committed, log: postgres.log, ledger, places: walk.jobs, dying })
  return {
    documents: documents.totals,
    events: events.totals,
    search: search.totals,
    sentAgain: postgres.sentAgain,
    problems: [
      ...documents.problems,
      ...judgeLog(committed, postgres.log),
      ...events.problems,
      ...search.problems,
      ...judgePositions(postgres.positions, walk.positions),
      ...judgeTransactions(journal, committed, { lateMs }),
    ],
  }
}
