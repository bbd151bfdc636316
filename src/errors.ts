/** What Moca throws. Branch on `code` or class, never on the text: texts are for people and may change. */

export type ErrorCode =
  | 'config_invalid'
  | 'payload_invalid'
  | 'payload_too_large'
  | 'option_invalid'
  | 'queue_full'
  | 'enqueue_timeout'
  | 'emit_timeout'
  | 'event_refused'
  | 'connection_lost'
  | 'redis_refused'
  | 'redis_unsuitable'
  | 'postgres_refused'
  | 'postgres_unsuitable'
  | 'sql_failed'
  | 'layout_unknown'
  | 'schema_unknown'
  | 'lease_lost'
  | 'handler_timeout'
  | 'hook_failed'
  | 'search_busy'
  | 'search_differs'
  | 'closed'

export type ErrorFacts = Readonly<Record<string, unknown>>

/** The base of every error of Moca. `retryable`: the same call may succeed later without a change of its input. */
export class MocaError extends Error {
  readonly code: ErrorCode
  readonly retryable: boolean
  readonly facts: ErrorFacts

  constructor(
    code: ErrorCode,
    message: string,
    options: { retryable?: boolean; facts?: ErrorFacts; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.name = new.target.name
    this.code = code
    this.retryable = options.retryable ?? false
    this.facts = Object.freeze({ ...options.facts })
  }
}

/** A configuration or option that cannot be used. Facts: `option` (path), `found`, `expected`. */
export class ConfigError extends MocaError {
  constructor(message: string, facts: ErrorFacts = {}) {
    super('config_invalid', message, { facts })
  }
}

/** An option of one call that cannot be used, e.g. a negative delay. Facts: `option`, `found`. */
export class OptionError extends MocaError {
  constructor(message: string, facts: ErrorFacts = {}) {
    super('option_invalid', message, { facts })
  }
}

/** A payload that its job's schema refuses, that JSON cannot carry, or that is too large. Facts: `type`, `issues` or `bytes`, `limit`. */
export class PayloadError extends MocaError {
  constructor(code: 'payload_invalid' | 'payload_too_large', message: string, facts: ErrorFacts = {}, cause?: unknown) {
    super(code, message, { facts, cause })
  }
}

/** The queue has `maxWaiting` jobs. Nothing of the call was accepted. Facts: `queue`, `maxWaiting`. */
export class QueueFullError extends MocaError {
  constructor(queue: string, maxWaiting: number) {
    super(
      'queue_full',
      `Queue ${queue} is full: maxWaiting is ${maxWaiting}. Nothing of this call was accepted; try again when workers have caught up.`,
      {
        retryable: true,
        facts: { queue, maxWaiting },
      },
    )
  }
}

/**
 * An enqueue that did not settle in time, or whose connection broke.
 * `mayHaveBeenApplied`: it was sent and the answer is not known; enqueue again only with an idempotency key.
 */
export class EnqueueError extends MocaError {
  readonly mayHaveBeenApplied: boolean

  constructor(
    code: 'enqueue_timeout' | 'connection_lost' | 'redis_refused',
    message: string,
    mayHaveBeenApplied: boolean,
    cause?: unknown,
  ) {
    super(code, message, { retryable: true, facts: { mayHaveBeenApplied }, cause })
    this.mayHaveBeenApplied = mayHaveBeenApplied
  }
}

/**
 * An event that was not emitted, as far as is known: it did not settle in time, its connection broke, or the backend refuses it.
 * `mayHaveBeenApplied`: it was sent and the answer is not known; an event emitted again is another event.
 */
export class EmitError extends MocaError {
  readonly mayHaveBeenApplied: boolean

  constructor(
    code: 'emit_timeout' | 'connection_lost' | 'event_refused',
    message: string,
    mayHaveBeenApplied: boolean,
    cause?: unknown,
  ) {
    super(code, message, { retryable: code !== 'event_refused', facts: { mayHaveBeenApplied }, cause })
    this.mayHaveBeenApplied = mayHaveBeenApplied
  }
}

/** A connection to a server that could not be opened, broke, or did not answer in time. Facts of PostgreSQL: `server`, `sqlState`. */
export class ConnectionError extends MocaError {
  constructor(message: string, cause?: unknown, facts: ErrorFacts = {}) {
    super('connection_lost', message, { retryable: true, facts, cause })
  }
}

/** A server that Moca must not use as it is, e.g. one that evicts keys. Facts: `found`, `expected`. */
export class UnsuitableServerError extends MocaError {
  constructor(
    message: string,
    facts: ErrorFacts = {},
    code: 'redis_unsuitable' | 'postgres_unsuitable' = 'redis_unsuitable',
  ) {
    super(code, message, { facts })
  }
}

/**
 * A server that does not let this user in, or does not permit it something.
 * Facts: `found` (its answer); of Redis: `command`, `key`; of PostgreSQL: `sqlState`.
 */
export class AccessError extends MocaError {
  constructor(
    message: string,
    facts: ErrorFacts,
    cause: unknown,
    code: 'redis_refused' | 'postgres_refused' = 'redis_refused',
  ) {
    super(code, message, { facts, cause })
  }
}

// The transaction was a victim of others (40), waited in vain for a lock (55P03), was told to end (57014), or the server lacked room (53).
const WORTH_ANOTHER_TRY = /^(40|53|55P03|57014)/

/** PostgreSQL refused a statement. `sqlState`: its five characters for why. Facts: `sqlState`, and where it told them `hint`, `table`, `constraint`. */
export class SqlError extends MocaError {
  readonly sqlState: string

  constructor(message: string, sqlState: string, facts: ErrorFacts, cause: unknown) {
    super('sql_failed', message, { retryable: WORTH_ANOTHER_TRY.test(sqlState), facts: { ...facts, sqlState }, cause })
    this.sqlState = sqlState
  }
}

/** The namespace was written by another release whose layout this one does not know. Facts: `found`, `known`. */
export class LayoutError extends MocaError {
  constructor(found: string, known: string) {
    super(
      'layout_unknown',
      `This namespace has layout ${found}; this release of Moca knows layout ${known}. It touches nothing. Run a release that knows layout ${found}.`,
      { facts: { found, known } },
    )
  }
}

/**
 * A schema in PostgreSQL that this process must not use: it is missing, of another release, of another namespace, or a copy in another server.
 * Facts: `schema`, `problem` (`missing`, `older`, `newer`, `changed`, `foreign`, `copied`), `found`, `expected`.
 */
export class SchemaError extends MocaError {
  constructor(message: string, facts: ErrorFacts = {}) {
    super('schema_unknown', message, { facts })
  }
}

/** An attempt was taken over by another worker: its result was discarded. Facts: `jobId`, `attempt`, `takenBy`, `takenAt`. */
export class LeaseLostError extends MocaError {
  constructor(message: string, facts: ErrorFacts) {
    super('lease_lost', message, { facts })
  }
}

/** A handler ran longer than its job's `timeout`. Facts: `timeoutMs`. */
export class HandlerTimeoutError extends MocaError {
  constructor(timeoutMs: number) {
    super('handler_timeout', `The handler ran longer than its timeout of ${timeoutMs} ms.`, {
      retryable: true,
      facts: { timeoutMs },
    })
  }
}

/**
 * A hook that does not keep the rules of hooks, or that threw after what it surrounds had succeeded. Facts: `kind`, `owner`.
 * `mayHaveBeenApplied`: what it surrounds has been done all the same.
 */
export class HookError extends MocaError {
  readonly mayHaveBeenApplied: boolean

  constructor(
    kind: string,
    owner: string,
    problem: string,
    { mayHaveBeenApplied = false, cause }: { mayHaveBeenApplied?: boolean; cause?: unknown } = {},
  ) {
    super('hook_failed', `The ${kind} hook of ${owner} ${problem}`, {
      facts: { kind, owner, mayHaveBeenApplied },
      cause,
    })
    this.mayHaveBeenApplied = mayHaveBeenApplied
  }
}

/** The object was closed before or during the call. */
export class ClosedError extends MocaError {
  constructor(what: string) {
    super('closed', `${what} is closed.`)
  }
}
