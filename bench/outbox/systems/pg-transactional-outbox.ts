import { createClient } from '@redis/client'
import { Client } from 'pg'
import {
  createReplicationSegmentMutexConcurrencyController,
  DatabaseSetup,
  type GeneralMessageHandler,
  getDisabledLogger,
  initializePollingMessageListener,
  initializeReplicationMessageListener,
} from 'pg-transactional-outbox'
import { arrivalsKey, streamArrivals } from '../arrivals.ts'
import { eventRows, eventType, recordFunction } from '../event.ts'
import type { EventData, OutboxSystem, Place, Relay } from '../system.ts'

const slot = 'bench_slot'
const publication = 'bench_publication'
const handlerConnections = 20
const nextMessages = 'next_outbox_messages'

const tables = {
  outboxOrInbox: 'outbox',
  database: 'bench',
  schema: 'public',
  table: 'outbox',
  listenerRole: 'postgres',
} as const

const settings = {
  dbSchema: 'public',
  dbTable: 'outbox',
  enableMaxAttemptsProtection: false,
  enablePoisonousMessageProtection: false,
}

const common = {
  packages: ['pg-transactional-outbox', '@redis/client', 'pg'],
  backlogDivisor: 20,
  arrivals: streamArrivals((payload) => JSON.parse(payload) as EventData),
}

const commonSettings = [
  'the table, indexes and functions of its DatabaseSetup; rows inserted with what its message storage inserts',
  'enableMaxAttemptsProtection and enablePoisonousMessageProtection: false, as its example for an outbox has it',
  `${handlerConnections} connections for handlers, where the pool has 10 by default`,
  'no logging',
  'the handler does the least: one XADD',
  'the segment is the key, so that events of a key are sent in order',
]

/** Its listener on logical replication. */
export const replication: OutboxSystem = {
  ...common,
  name: 'pg-outbox-replication',
  title: 'pg-transactional-outbox, replication',
  settings: [
    ...commonSettings,
    'createReplicationSegmentMutexConcurrencyController: segments in parallel; the default handles one event at a time',
  ],

  async prepare(databaseUrl) {
    await run(databaseUrl, [
      DatabaseSetup.dropAndCreateTable(tables),
      DatabaseSetup.setupReplicationCore({ ...tables, publication, replicationSlot: slot }),
      DatabaseSetup.setupReplicationSlot({ ...tables, publication, replicationSlot: slot }),
      recordFunction(insert),
    ])
  },

  openRelay: (place) =>
    openListener(place, (handler) =>
      initializeReplicationMessageListener(
        {
          outboxOrInbox: 'outbox',
          ...connections(place),
          settings: { ...settings, dbPublication: publication, dbReplicationSlot: slot },
        },
        handler,
        getDisabledLogger(),
        { concurrencyStrategy: createReplicationSegmentMutexConcurrencyController() },
      ),
    ),
}

/** Its listener that polls. */
export const polling: OutboxSystem = {
  ...common,
  name: 'pg-outbox-polling',
  title: 'pg-transactional-outbox, polling',
  settings: [
    ...commonSettings,
    `nextMessagesBatchSize: ${handlerConnections} (default 5) and nextMessagesPollingIntervalInMs: 50 (default 500): as many as there are connections, and sooner`,
  ],

  async prepare(databaseUrl) {
    await run(databaseUrl, [
      DatabaseSetup.dropAndCreateTable(tables),
      DatabaseSetup.createPollingFunction({ ...tables, nextMessagesName: nextMessages }),
      DatabaseSetup.setupPollingIndexes({ ...tables, nextMessagesName: nextMessages }),
      recordFunction(insert),
    ])
  },

  openRelay: (place) =>
    openListener(place, (handler) =>
      initializePollingMessageListener(
        {
          outboxOrInbox: 'outbox',
          ...connections(place),
          settings: {
            ...settings,
            nextMessagesFunctionName: nextMessages,
            nextMessagesBatchSize: handlerConnections,
            nextMessagesPollingIntervalInMs: 50,
          },
        },
        handler,
        getDisabledLogger(),
      ),
    ),
}

// The id as the application would draw it; created_at and the other columns by their defaults.
const insert = `
  insert into outbox (id, aggregate_type, aggregate_id, message_type, segment, payload)
  select gen_random_uuid(), 'order', e.key, '${eventType}', e.key, jsonb_build_object('n', e.n, 'i', e.i, 'text', e.text)
  from ${eventRows}`

function connections({ databaseUrl }: Place) {
  const dbListenerConfig = { connectionString: databaseUrl }
  // Handed to a pool as it is.
  return { dbListenerConfig, dbHandlerConfig: { connectionString: databaseUrl, max: handlerConnections } }
}

type Listen = (handler: GeneralMessageHandler) => [shutdown: () => Promise<void>]

async function openListener({ redisPort }: Place, listen: Listen): Promise<Relay> {
  const redis = createClient({ url: `redis://127.0.0.1:${redisPort}` })
  redis.on('error', (error) => console.error('redis:', error))
  await redis.connect()
  const handler: GeneralMessageHandler = {
    async handle({ segment = '', payload }) {
      await redis.sendCommand(['XADD', arrivalsKey, '*', 'k', segment, 'd', JSON.stringify(payload)])
    },
  }
  let shutdown: (() => Promise<void>) | undefined
  const stop = async () => {
    await shutdown?.()
    shutdown = undefined
  }
  return {
    async start() {
      const [stopListening] = listen(handler)
      shutdown = stopListening
    },
    stop,
    async close() {
      await stop()
      await redis.close()
    },
  }
}

/** One transaction each: a slot cannot be made in one that has written. */
async function run(databaseUrl: string, scripts: readonly string[]): Promise<void> {
  const client = new Client({ connectionString: databaseUrl })
  await client.connect()
  try {
    for (const script of scripts) await client.query(script)
  } finally {
    await client.end()
  }
}
