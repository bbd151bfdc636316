/** What can be wrong with the account of a queue. */
export type FindingKind =
  /** accepted is not the sum of what stands, ended and was deleted. */
  | 'count_differs'
  /** The server forgot jobs that it had accepted. */
  | 'redis_forgot'
  /** A job stands in more than one place. */
  | 'job_in_two_places'
  /** A stream entry was given to a worker, and no worker has it: nobody will ever run it. */
  | 'entry_in_limbo'
  /** A worker is said to have an entry that does not exist. */
  | 'pending_without_entry'
  /** A job stands in a stream and cannot be found by its id. */
  | 'entry_without_where'
  /** A job is said to stand in a stream, and does not. */
  | 'where_points_nowhere'
  /** A record that is neither delayed nor dead nor waiting for its key: nobody will ever run it. */
  | 'record_nowhere'
  /** An id is said to be delayed, dead or waiting for its key, and there is no record of it. */
  | 'name_without_record'
  /** The large payload of a job is gone. */
  | 'payload_missing'
  /** A large payload without a job. */
  | 'payload_without_job'
  /** A key is held by a job that will never let it go. */
  | 'slot_without_job'
  /** Jobs wait for a key that nobody holds. */
  | 'gate_without_holder'
  /** A queue has jobs and is not in the list of queues: nobody counts it. */
  | 'queue_not_listed'
  /** More is wrong than is worth naming one by one. */
  | 'too_many_suspects'

export interface Finding {
  readonly kind: FindingKind
  readonly queue: string
  /** The job, where one is known. */
  readonly id?: string
  readonly expected: string
  readonly found: string
  /** What to do: a sentence, or a command for redis-cli. */
  readonly fix: string
}
