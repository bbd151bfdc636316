// What search sync and rebuilds write down in PostgreSQL, and how it is told whether a note is there.

/** What the tables say, as far as notes of one kind can be told from others. */
export interface FoundNotes {
  /** Of the live index: noted as about to be submitted, and not as settled. */
  readonly unsettled: number
  readonly live: string
  /** Undefined: no rebuild is under way. */
  readonly rebuild: { readonly generation: string; readonly afterDocname: string | null } | undefined
}

export interface Note {
  readonly by: 'sync' | 'rebuild'
  /** In what is sent to PostgreSQL. */
  readonly text: string
  /** One process writes many of them. */
  readonly isOften?: true
  /**
   * Whether it was written, by what the tables said before the process began and what they say after its death. Default: the tables do not
   * tell it from others.
   */
  readonly isThere?: (found: FoundNotes, before: FoundNotes) => boolean
}

export type NoteName =
  | 'taking'
  | 'intent'
  | 'submission'
  | 'settling'
  | 'marking'
  | 'unmarking'
  | 'beginning'
  | 'page'
  | 'copied'
  | 'wish'
  | 'swap'
  | 'end'
  | 'dropping'

export const NOTES: Readonly<Record<NoteName, Note>> = {
  taking: { by: 'sync', text: 'moca-take-index' },
  // A batch is settled at once, before the next one is taken: at most one is under way.
  intent: { by: 'sync', isOften: true, text: 'moca-intend-index-batch', isThere: ({ unsettled }) => unsettled === 1 },
  submission: { by: 'sync', isOften: true, text: 'moca-submit-search-documents' },
  settling: { by: 'sync', isOften: true, text: 'moca-settle-index-batch', isThere: ({ unsettled }) => unsettled === 0 },
  marking: { by: 'sync', isOften: true, text: 'search_dirty as present (index_name, docname) select' },
  unmarking: { by: 'sync', isOften: true, text: 'as done (docname, mark)' },
  beginning: { by: 'rebuild', text: 'search_rebuild (index_name' },
  // The first page since it began, or went on: nothing was noted yet of one that is new.
  page: {
    by: 'rebuild',
    text: 'after_docname = $3',
    isThere: ({ rebuild: now }, { rebuild: then }) =>
      now !== undefined &&
      now.afterDocname !== null &&
      (now.generation !== then?.generation || now.afterDocname !== then.afterDocname),
  },
  copied: { by: 'rebuild', text: 'is_copied = true' },
  wish: { by: 'rebuild', text: 'wants_live = $3' },
  swap: { by: 'rebuild', text: 'swap_search_generation', isThere: ({ live }, before) => live !== before.live },
  end: { by: 'rebuild', text: 'search_rebuilt', isThere: ({ rebuild }) => rebuild === undefined },
  dropping: { by: 'rebuild', text: 'drop_search_generation' },
}
