import type { FieldValue, SearchFields } from '../doctype/search-options.ts'

/** A generation of an index: the live one, or a shadow that a rebuild fills. */
export interface IndexGeneration {
  /** Of the deployment's indexes, e.g. `City`. An engine that many deployments share prefixes it on its side. */
  readonly index: string
  readonly generation: string
}

/** What queries may ask of an index. Changing it takes a rebuild. */
export interface IndexSettings {
  /** Fields whose words are found, the weightiest first. */
  readonly searchable: readonly string[]
  readonly filterable: readonly string[]
  readonly sortable: readonly string[]
  /** Filterable too. */
  readonly facets: readonly string[]
  /** Of the texts, e.g. `english`. `simple`: words as they are. */
  readonly language: string
}

/** Orders the submissions to a generation: by epoch, then by number. */
export interface WriteVersion {
  /** Of the writer: it grows each time that somebody takes the index. */
  readonly epoch: number
  /** Grows with all that a writer submits; a resend and each half of a batch too. */
  readonly submission: number
}

/** A document as it is searched for. */
export interface SearchDocument {
  readonly id: string
  /** Hash of the fields. */
  readonly rev: string
  readonly fields: SearchFields
  /** Letters of the fields, as JSON. */
  readonly size: number
}

/** Documents to put and ids to delete; no id twice. */
export interface Submission {
  readonly target: IndexGeneration
  readonly version: WriteVersion
  readonly put: readonly SearchDocument[]
  readonly delete: readonly string[]
}

/** Stands for a submission that an engine has taken over. A text, so that it can be written down. */
export type Ticket = string

export type TicketOutcome =
  | { readonly status: 'pending' }
  | { readonly status: 'succeeded' }
  /** A higher epoch wrote: the index is another writer's. Nothing of it was applied. */
  | { readonly status: 'superseded' }
  /** A later submission of the same writer was applied before. Nothing of this one was: to be submitted again under a higher number. */
  | { readonly status: 'overtaken' }
  /** Nothing of it was applied. `ids`: the documents at fault; empty when the engine does not say, and halves must be tried. */
  | { readonly status: 'failed'; readonly reason: string; readonly ids: readonly string[] }

export type SwapOutcome =
  | 'swapped'
  /** The generation that was to be replaced is not the live one. Nothing was done. */
  | 'not-live'

export type RevOf = Pick<SearchDocument, 'id' | 'rev'>

export interface RevPage {
  readonly documents: readonly RevOf[]
  /** Where the next page begins. Undefined: this was the last one. */
  readonly next: string | undefined
}

export interface RangeFilter {
  readonly gt?: string | number
  readonly gte?: string | number
  readonly lt?: string | number
  readonly lte?: string | number
}

/** Field -> the value that it has, one of several, or a range. All must hold; a list in a document has a value that is in it. */
export type SearchFilter = Readonly<Record<string, FieldValue | RangeFilter>>

/** A query that was checked against the settings of the index. */
export interface EngineQuery {
  /** Empty: all documents. */
  readonly q: string
  readonly filter: SearchFilter
  readonly sort: readonly { readonly field: string; readonly direction: 'asc' | 'desc' }[]
  readonly facets: readonly string[]
  /** Fields whose matching words are marked. */
  readonly highlight: readonly string[]
  readonly limit: number
  readonly offset: number
}

/** A piece of a text; the matching ones are what the query found. */
export interface TextPiece {
  readonly text: string
  readonly isMatch: boolean
}

export interface SearchHit {
  readonly id: string
  readonly fields: SearchFields
  /** Field -> its text in pieces, cut to the surroundings of the first match where it is long. */
  readonly highlights: Readonly<Record<string, readonly TextPiece[]>>
}

export interface FacetCount {
  readonly value: string | number | boolean | null
  readonly count: number
}

export interface SearchResult {
  readonly hits: readonly SearchHit[]
  /** How many match; at least as many, where `isTotalExact` is false. */
  readonly total: number
  readonly isTotalExact: boolean
  /** Field -> its commonest values among all that match, at most 100. */
  readonly facets: Readonly<Record<string, readonly FacetCount[]>>
}

/**
 * Keeps documents and finds them: PostgreSQL, or Meilisearch (docs/decisions/0055-the-engine-interface.md). Outages reject with an error
 * that is `retryable`, and say nothing of a document.
 */
export interface SearchEngine {
  readonly name: string
  /** `arrival`: what comes last wins, and versions are not looked at. */
  readonly ordersBy: 'version' | 'arrival'
  /** Makes an empty generation whose settings hold when this resolves. One that exists with the same settings is left as it is. */
  create(target: IndexGeneration, settings: IndexSettings, signal?: AbortSignal): Promise<void>
  /** The generation that queries see, and its settings. Undefined: the index has none. */
  live(index: string, signal?: AbortSignal): Promise<LiveGeneration | undefined>
  listGenerations(index: string, signal?: AbortSignal): Promise<readonly string[]>
  /** Makes `to` live instead of `from` (undefined: none was), at one instant for all queries. */
  swap(index: string, from: string | undefined, to: string, signal?: AbortSignal): Promise<SwapOutcome>
  /** Harmless where there is none. Rejects for the live one, and with an error that is `retryable` while somebody reads it for long. */
  drop(target: IndexGeneration, signal?: AbortSignal): Promise<void>
  /** Drops all generations of an index, the live one too. Harmless where there are none. */
  remove(index: string, signal?: AbortSignal): Promise<void>
  /** Sending the same again is harmless. */
  submit(submission: Submission, signal?: AbortSignal): Promise<Ticket>
  /** An outcome per ticket, in order. Waits for up to `waitMs` while all are pending. */
  settle(tickets: readonly Ticket[], waitMs: number, signal?: AbortSignal): Promise<readonly TicketOutcome[]>
  /** The revs of those of these documents that there are. */
  readRevs(target: IndexGeneration, ids: readonly string[], signal?: AbortSignal): Promise<readonly RevOf[]>
  /** All documents in pages. Those that are there throughout are read once, whatever is written meanwhile. */
  readPage(target: IndexGeneration, after: string | undefined, limit: number, signal?: AbortSignal): Promise<RevPage>
  count(target: IndexGeneration, signal?: AbortSignal): Promise<number>
  /** Queries the live generation. Rejects with OptionError where there is none. */
  query(index: string, query: EngineQuery, signal?: AbortSignal): Promise<SearchResult>
  /** Ends what it started. Twice is harmless. */
  close(): Promise<void>
}

export interface LiveGeneration {
  readonly generation: string
  readonly settings: IndexSettings
}
