/** Where a canary did not come through. */
export interface DrillFinding {
  readonly kind: /** It did not come out of the log. */
    | 'canary_not_relayed'
    /** It came into its queue, and nobody did it. */
    | 'canary_not_handled'
    /** A document that was marked was not indexed again. */
    | 'canary_not_indexed'
  readonly lane?: number
  readonly queue?: string
  readonly index?: string
  readonly expected: string
  readonly found: string
  readonly fix: string
}
