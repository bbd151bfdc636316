import type { DocumentChange, Outcome, Recording, TransactionLine } from '../documents/transaction-journal.ts'
import { ALERT_RAISED, COUNTRY_CHANGED, DOCTYPE, type Numbered, subjects, TALLY } from '../recorded.ts'

export type Intent = Extract<TransactionLine, { kind: 'intent' }>

/** An event or job that belongs to a transaction. */
export interface RecordedItem extends Numbered {
  readonly kind: 'event' | 'job'
  readonly type: string
  /** As the writer was told; of what triggers recorded nobody was told. */
  readonly id: string | undefined
  readonly transaction: string
  /** Who must get it. */
  readonly routes: readonly string[]
}

/** What the writers' journals say. */
export interface Committed {
  readonly outcomes: ReadonlyMap<string, Outcome>
  readonly intents: readonly Intent[]
  /** By city, the last committed change. */
  readonly documents: ReadonlyMap<number, DocumentChange>
  readonly recorded: readonly RecordedItem[]
  /** What must be nowhere. */
  readonly rolledBack: readonly RecordedItem[]
  /** Transactions of which nobody found out how they ended. */
  readonly unsettled: readonly string[]
}

/** Who gets what: the account's own table, which knows nothing of how Moca matches. */
const ROUTES: Readonly<Record<string, readonly string[]>> = {
  [`${DOCTYPE}.created`]: ['enrich'],
  [`${DOCTYPE}.updated`]: ['enrich'],
  [`${DOCTYPE}.deleted`]: ['enrich', 'alert'],
  [ALERT_RAISED]: ['alert'],
  [COUNTRY_CHANGED]: ['report'],
  [TALLY]: [TALLY],
}

export function readCommitted(journal: readonly TransactionLine[]): Committed {
  const intents = journal.filter((line) => line.kind === 'intent')
  const outcomes = outcomesOf(journal)
  const documents = new Map<number, DocumentChange>()
  const recorded: RecordedItem[] = []
  const rolledBack: RecordedItem[] = []
  const unsettled: string[] = []
  for (const intent of intents) {
    const outcome = outcomes.get(intent.transaction)
    if (outcome === undefined) unsettled.push(intent.transaction)
    else (outcome === 'committed' ? recorded : rolledBack).push(...itemsOf(intent))
    if (outcome !== 'committed') continue
    for (const change of intent.changes) {
      if (change.version > (documents.get(change.cityId)?.version ?? 0)) documents.set(change.cityId, change)
    }
  }
  return { outcomes, intents, documents, recorded, rolledBack, unsettled }
}

function outcomesOf(journal: readonly TransactionLine[]): Map<string, Outcome> {
  const outcomes = new Map<string, Outcome>()
  for (const line of journal) {
    if (line.kind === 'intent' && line.ending === 'rollback') outcomes.set(line.transaction, 'rolled-back')
    else if (line.kind !== 'intent' && line.outcome !== 'unknown') outcomes.set(line.transaction, line.outcome)
  }
  return outcomes
}

function itemsOf({ transaction, changes, recordings }: Intent): RecordedItem[] {
  return [
    ...changes.map((change) => captured(change, transaction)),
    ...recordings.map((recording) => byHand(recording, transaction)),
  ]
}

function captured({ action, cityId, version }: DocumentChange, transaction: string): RecordedItem {
  const type = `${DOCTYPE}.${action}`
  const subject = subjects.city(cityId)
  return { kind: 'event', type, id: undefined, transaction, subject, number: version, routes: ROUTES[type] ?? [] }
}

function byHand({ kind, id, type, subject, number }: Recording, transaction: string): RecordedItem {
  return { kind, type, id, transaction, subject, number, routes: ROUTES[type] ?? [] }
}
