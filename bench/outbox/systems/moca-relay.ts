import { systemClock } from '../../../src/clock.ts'
import { defineSubscription } from '../../../src/events/subscription.ts'
import type { JobReceiver } from '../../../src/job/job-receiver.ts'
import { type Logger, silentLogger } from '../../../src/logger.ts'
import { migrate } from '../../../src/outbox/migrations.ts'
import { Relay as OutboxRelay } from '../../../src/outbox/relay.ts'
import { type QueueContent, QueueSink } from '../../../src/outbox/sinks/queue-sink.ts'
import { Subscribers } from '../../../src/outbox/subscribers.ts'
import { Subscriptions } from '../../../src/outbox/subscriptions.ts'
import { PostgresConnection } from '../../../src/postgres/connection.ts'
import { eventRows, eventType, recordFunction, topic } from '../event.ts'
import type { Relay } from '../system.ts'

const schema = 'moca'
export const namespace = 'bench'

export const subscription = defineSubscription({ name: 'bench', topics: [topic] })

/** What is handed to `moca.record`: a list of events, as JSON. An application would bring the text along: it is put together cheaply. */
const requestFunction = `
create function make_request(keys text[], ns bigint[], first_i bigint) returns text
language plpgsql stable
as $$
begin
  return (select '[' || string_agg(
    '{"topic":"${topic}","event_type":"${eventType}","key":"' || e.key || '","data":{"n":' || e.n || ',"i":' || e.i || ',"text":"' || e.text
      || '"}}', ',') || ']'
  from ${eventRows});
end
$$`

/** The schema, one subscription that gets every event, and the function that records. */
export async function prepareMoca(databaseUrl: string): Promise<void> {
  const connection = await PostgresConnection.open({ url: databaseUrl }, 'moca:bench')
  try {
    await migrate(connection, { schema, namespace, maxBytes: 1_048_576 })
    await new Subscriptions(connection, schema).register(subscription)
    await connection.run(requestFunction)
    await connection.run(recordFunction(`perform ${schema}.record(make_request(keys, ns, first_i))`))
  } finally {
    connection.destroy()
  }
}

export interface MocaRelayOptions {
  readonly databaseUrl: string
  readonly receiver: JobReceiver
  /** Sees each connection before it is used. */
  readonly onConnection?: (connection: PostgresConnection) => void
  readonly onPass?: (facts: { readonly lanes: number; readonly rows: number }) => void
}

/** Moca's relay with the settings that it has by default. */
export function openMocaRelay({ databaseUrl, receiver, onConnection, onPass }: MocaRelayOptions): Relay {
  let relay: OutboxRelay<QueueContent> | undefined
  const stop = async () => {
    await relay?.stop()
    relay = undefined
  }
  return {
    async start() {
      relay = new OutboxRelay<QueueContent>({
        async connect() {
          const connection = await PostgresConnection.open({ url: databaseUrl }, 'moca:bench:relay')
          onConnection?.(connection)
          return connection
        },
        open(connection, logId) {
          const subscribers = new Subscribers(connection, { schema, logId, announcesDoctypes: false })
          return { sink: new QueueSink(receiver, subscribers), subscriptions: subscribers }
        },
        sinkName: 'queue',
        schema,
        namespace,
        settings: { leaseMs: 10_000, pollIntervalMs: 12, redriveMaxMs: 600_000 },
        log: complainingLogger,
        clock: systemClock,
        ...(onPass && { onPass }),
      })
      relay.start()
    },
    stop,
    close: stop,
  }
}

/** A measurement in which something went wrong says so. */
export const complainingLogger: Logger = {
  ...silentLogger,
  warn: (fields, message) => console.error('relay:', message, fields),
  error: (fields, message) => console.error('relay:', message, fields),
  child: () => complainingLogger,
}
