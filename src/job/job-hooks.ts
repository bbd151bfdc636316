import { type Hook, type OwnedHook, surround, surroundList } from '../hook.ts'
import type { EnqueueOptions } from './enqueue-options.ts'
import type { HandlerContext, Job, JobHandler } from './job.ts'

export type EnqueueItem<Input = unknown> = { readonly payload: Input } & EnqueueOptions

/** One call that enqueues. */
export interface EnqueueCallFacts {
  readonly job: Job<never, unknown>
  /** Where the call says another one than the job's own. */
  readonly queue: string
  /** One for `enqueue`, all for `enqueueMany`. */
  readonly items: readonly EnqueueItem[]
  /** It is recorded in a transaction (`moca.outbox.enqueue`), and enqueued if and only if that commits. */
  readonly isRecorded: boolean
}

/**
 * Runs around each call that enqueues, in the process of the caller. Throws to refuse; `next(items)` enqueues other payloads or options, as
 * many as there were. What it throws before `next` reaches the caller as it is.
 */
export type EnqueueHook = Hook<EnqueueCallFacts, readonly EnqueueItem[]>

/** Runs around each attempt's handler, in the worker. What it throws counts as if the handler had thrown it: `retry()`, `cancel()` ... */
export type AttemptHook = Hook<HandlerContext, undefined>

export type EnqueueHooks = readonly OwnedHook<EnqueueHook>[]

/** Enqueues through hooks. `enqueue` gets what they make of the items. */
export function enqueueThrough<Result>(
  hooks: EnqueueHooks,
  facts: EnqueueCallFacts,
  enqueue: (items: readonly EnqueueItem[]) => Promise<Result>,
): Promise<Result> {
  const { items } = facts
  return surroundList({ kind: 'enqueue', hooks, items, tell: (items) => ({ ...facts, items }), core: enqueue })
}

/** The same handlers, with hooks around each. */
export function withAttemptHooks(
  handlers: readonly JobHandler[],
  hooks: readonly OwnedHook<AttemptHook>[],
): readonly JobHandler[] {
  if (hooks.length === 0) return handlers
  return handlers.map(({ job, run }) => ({
    job,
    run: (context) =>
      surround({
        kind: 'attempt',
        hooks,
        input: undefined,
        tell: (): HandlerContext => context,
        core: async () => run(context),
        failedAfter: (error) => error,
      }),
  }))
}
