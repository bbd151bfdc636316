import { requireSchema } from '../outbox/migrations.ts'
import { OutboxReader } from '../outbox/outbox-status.ts'
import type { Database } from '../postgres/database.ts'
import { NotFoundError } from './cli-error.ts'
import type { Context } from './context.ts'

/** What the commands of the outbox work with. */
export interface OutboxAccess {
  readonly database: Database
  readonly schema: string
  readonly reader: OutboxReader
}

/** Connects to PostgreSQL, looks whether the schema is this release's and this namespace's, and gives access to the outbox in it. */
export async function withOutbox<T>(
  context: Context,
  command: string,
  use: (access: OutboxAccess) => Promise<T>,
): Promise<T> {
  const { namespace, postgres } = await context.config()
  const { schema } = postgres
  return context.withDatabase(command, async (database) => {
    await requireSchema(database, { schema, namespace })
    return use({ database, schema, reader: new OutboxReader(database, schema) })
  })
}

/** Rejects when a sink was named that no relay ever brought anything to: "nothing" of a mistyped name would pass for good news. */
export async function requireKnownSink({ reader }: OutboxAccess, sink: string | undefined): Promise<void> {
  if (sink === undefined) return
  const known = [...new Set((await reader.lanes()).map((lane) => lane.sink))]
  if (known.includes(sink)) return
  const names = known.length === 0 ? 'no relay has ever run' : `known are ${known.join(', ')}`
  throw new NotFoundError(`There is no sink ${sink}; ${names}.`, 'moca outbox status shows all of them.')
}

/** A signal that aborts after a time, or with another one. */
export function within(limitMs: number | undefined, stop: AbortSignal): AbortSignal {
  return limitMs === undefined ? stop : AbortSignal.any([stop, AbortSignal.timeout(Math.max(1, limitMs))])
}
