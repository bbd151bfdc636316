/** A row of the log as relays read it. */
export interface LogRow {
  readonly seq: number
  readonly lane: number
  readonly xid: string
  readonly kind: 'event' | 'job'
  /** Of a job: its queue. */
  readonly topic: string
  readonly type: string
  readonly site: string | undefined
  readonly doctype: string | undefined
  /** Undefined: no order is asked for. */
  readonly key: string | undefined
  readonly id: string
  /** Event: headers. Job: options of its entry. JSON. */
  readonly options: string | undefined
  readonly dueMs: number | undefined
  readonly bytes: number
  readonly payload: string
}
