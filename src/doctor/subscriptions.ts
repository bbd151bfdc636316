import type { App } from '../config/options.ts'
import { CANARY } from '../events/canary.ts'
import type { RegisteredSet } from '../events/subscription-registry.ts'
import type { JobHandler } from '../job/job.ts'
import { type Diagnosis, note, problem } from './diagnosis.ts'

/** Subscriptions whose events nobody of this configuration handles, and those of it that are not registered. */
export function checkSubscriptions(
  { subscriptions, ended }: RegisteredSet,
  apps: readonly App[],
  handlers: readonly JobHandler[],
): Diagnosis[] {
  const handled = new Set(handlers.map(({ job }) => job.type))
  const own = new Map(apps.flatMap((app) => (app.subscriptions ?? []).map((each) => [each.name, each] as const)))
  const registered = new Set(subscriptions.map(({ name }) => name))
  const unhandled = subscriptions.flatMap(({ name }) => {
    // Of moca verify --drill: every worker handles it.
    if (name === CANARY) return []
    const known = own.get(name)
    if (!known) {
      return note(
        `Subscription ${name} is registered, and no app of this configuration has it.`,
        `Fine where another application handles it; otherwise moca events unsubscribe ${name}.`,
      )
    }
    if (handled.has(known.job.type)) return []
    const fix = `Export a handler made by handleEvent(${name}, ...) from the app's handlers, or moca events unsubscribe ${name}.`
    return problem(`Subscription ${name} has no handler: its events wait for one.`, fix)
  })
  const missing = [...own.keys()]
    .filter((name) => !registered.has(name))
    .map((name) =>
      note(
        `Subscription ${name} is not registered${ended.includes(name) ? ' any more' : ''}: it gets no events.`,
        'Workers and relays register it when they start.',
      ),
    )
  return [...unhandled, ...missing]
}
