import type { Hook } from '../hook.ts'
import type { SearchFields } from './search-options.ts'

/** A document that is about to be indexed. */
export interface IndexedDocument {
  /** What the key of its row says. */
  readonly id: string
  readonly fields: SearchFields
}

/** Documents that a projection made, on their way to the index. */
export interface IndexCallFacts {
  readonly doctype: string
  readonly documents: readonly IndexedDocument[]
}

/**
 * Runs around the indexing of documents, in the process that keeps the index, and when it is verified. `next(documents)` indexes other
 * fields of the same documents. As a projection it must depend on nothing but the database. What it throws counts as if the projection had
 * thrown it: the documents are brought apart, and those that fail alone are parked.
 */
export type IndexHook = Hook<IndexCallFacts, readonly IndexedDocument[]>
