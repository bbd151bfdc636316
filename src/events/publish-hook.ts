import { type Hook, type OwnedHook, surroundList } from '../hook.ts'
import type { EventInput } from './event.ts'

/** One call that hands events over to be published. */
export interface PublishCallFacts {
  readonly topic: string
  /** One for `emit`, all for a `record` of several. */
  readonly events: readonly EventInput[]
  /** Recorded in a transaction (`moca.outbox.record`), and published if and only if that commits. */
  readonly isRecorded: boolean
}

/**
 * Runs around each call that emits or records events, in the process of the caller: what relays send must be the same when it is sent
 * again. Throws to refuse; `next(events)` hands over other events, as many as there were. What it throws before `next` reaches the
 * caller as it is.
 */
export type PublishHook = Hook<PublishCallFacts, readonly EventInput[]>

export type PublishHooks = readonly OwnedHook<PublishHook>[]

/** Hands events over through hooks. `publish` gets what they make of the events. */
export function publishThrough<Result>(
  hooks: PublishHooks,
  facts: PublishCallFacts,
  publish: (events: readonly EventInput[]) => Promise<Result>,
): Promise<Result> {
  const { events } = facts
  return surroundList({
    kind: 'publish',
    hooks,
    items: events,
    tell: (events) => ({ ...facts, events }),
    core: publish,
  })
}
