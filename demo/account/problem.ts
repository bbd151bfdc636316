/** One thing that does not add up. */
export interface Problem {
  readonly kind: ProblemKind
  /** Of the job; of what there is no job for, its business name; else what it is about. */
  readonly id: string
  readonly expected: string
  readonly found: string
}

export type ProblemKind =
  | 'lost' // accepted, never done, and not in Redis
  | 'lost-by-redis' // Redis had accepted it and does not know it any more
  | 'loss-misreported' // Moca reported another number of jobs lost by Redis than the account finds
  | 'unfinished' // still in Redis
  | 'wrongly-dead'
  | 'not-dead' // a bad row that completed
  | 'not-retried' // a bad row that died before its attempts were used up
  | 'out-of-order'
  | 'never-accepted' // the data asks for a job that no producer had accepted
  | 'accepted-twice'
  | 'wrongly-refused'
  | 'not-refused'
  | 'unknown-job' // run, or found in Redis, and planned by nobody
  | 'misplaced' // Redis holds it in two places, or a name without a job
  | 'count' // a counter of Moca differs from the evidence
  | 'report' // a country's report is missing or wrong
  | 'not-tried' // a kill that should have happened did not, or proved nothing
  | 'document-lost' // committed, and not in the table
  | 'document-wrong' // in the table otherwise than the last committed change left it
  | 'document-unknown' // in the table, and no committed transaction left it there
  | 'unsettled' // nobody found out whether a transaction was committed
  | 'log-row-missing' // recorded by a committed transaction, and not in Moca's log
  | 'log-row-wrong' // in the log twice, or as something else
  | 'log-row-unknown' // in the log, and recorded by no committed transaction
  | 'log-out-of-order' // in the log behind a later one of its key
  | 'event-lost' // recorded, never delivered to a subscription, and not in Redis
  | 'event-unfinished' // still in Redis
  | 'event-wrongly-dead'
  | 'event-not-dead' // of a bad row, and delivered
  | 'event-not-retried' // of a bad row, and died before its attempts were used up
  | 'event-out-of-order'
  | 'event-unknown' // delivered, and recorded by no committed transaction, or for somebody else
  | 'index-missing' // in the table, and not in the search index
  | 'index-stale' // in the search index otherwise than in the table
  | 'index-orphaned' // in the search index alone
  | 'fire-missed' // an instant of a schedule for which no handler has run
  | 'fire-doubled' // an instant for which there was more than one job
  | 'fire-unexpected' // a job of an instant that the schedule does not have
  | 'verify' // what `moca verify` found by itself
  | 'position' // PostgreSQL and Redis say otherwise how far a lane has come
