import { systemClock } from '../clock.ts'
import { maxWaitingOf, requirePostgres, resolveConfig } from '../config/config.ts'
import type { ConfigInput } from '../config/options.ts'
import { RedisSubscriptions } from '../events/backends/redis/redis-subscriptions.ts'
import { Notifier } from '../events/notifier.ts'
import { SubscriptionKeeper } from '../events/subscription-keeper.ts'
import { SubscriptionMirror } from '../events/subscription-mirror.ts'
import type { Logger } from '../logger.ts'
import { requireSchema } from '../outbox/migrations.ts'
import { ParkingNotifier } from '../outbox/parking-notifier.ts'
import { Relay } from '../outbox/relay.ts'
import { Retention } from '../outbox/retention.ts'
import { QueueSink } from '../outbox/sinks/queue-sink.ts'
import { Subscribers } from '../outbox/subscribers.ts'
import { Subscriptions } from '../outbox/subscriptions.ts'
import { describePostgresUrl } from '../postgres/connection.ts'
import { Database } from '../postgres/database.ts'
import { ConfirmedCounts } from '../queue/confirmed-counts.ts'
import { linkNamespace } from '../queue/link-namespace.ts'
import { LossDetector } from '../queue/loss-detector.ts'
import { NamespaceAccess } from '../queue/namespace-access.ts'
import { NoteReader } from '../queue/note-reader.ts'
import { Receiver } from '../queue/receiver/receiver.ts'
import { describeUrl } from '../redis/connection.ts'
import { searchIndexesOf } from '../search-indexes.ts'
import { SearchSync } from '../search/search-sync.ts'
import { HealthServer } from '../service/health.ts'
import { runLoop } from '../service/loop.ts'
import { OutboxMetrics } from './outbox-metrics.ts'
import { judgeRelay } from './outbox-readiness.ts'
import { aborted, connectPatiently, listen } from './start-up.ts'

export interface OutboxProcessOptions {
  readonly input: ConfigInput
  readonly log: Logger
  /** In place of what the configuration says. */
  readonly healthPort?: number | undefined
  readonly healthHost?: string | undefined
  /** Aborts when the process is asked to stop. */
  readonly stop: AbortSignal
}

const RETENTION_MS = 10 * 60_000
/** Those who emit go by a copy of the subscriptions in Redis. */
const MIRROR_MS = 1_000
const NOTICE_MS = 1_000

/** A relay from its configuration to its clean end. Rejects with what makes relaying impossible, before it has begun. */
export async function runOutboxProcess(options: OutboxProcessOptions): Promise<void> {
  const { input, log, stop } = options
  const config = resolveConfig(input)
  const { namespace, redis, outbox, events } = config
  const postgres = requirePostgres(config, 'A relay')
  const { schema } = postgres
  const losses = new LossDetector(log)
  const link = linkNamespace({ redis, namespace, role: 'relay', losses, log })
  const database = new Database({ ...postgres, name: `moca:${namespace}:relay` })
  const receiver = new Receiver({
    link,
    counts: new ConfirmedCounts(losses),
    clock: systemClock,
    maxWaiting: maxWaitingOf(config),
    timeoutMs: redis.connectTimeoutMs,
  })
  const metrics = new OutboxMetrics(() => relay.health())
  const relay: Relay<unknown> = new Relay({
    connect: () => database.openConnection(),
    open: (connection, logId) => {
      const subscribers = new Subscribers(connection, { schema, logId, announcesDoctypes: events.perDoctypeTopics })
      return { sink: new QueueSink(receiver, subscribers), subscriptions: subscribers }
    },
    sinkName: 'queue',
    schema,
    namespace,
    settings: outbox,
    log,
    onPass: (facts) => metrics.count(facts),
  })
  const registry = new Subscriptions(database, schema)
  const access = new NamespaceAccess(link, namespace, redis.connectTimeoutMs)
  const copy = new RedisSubscriptions(access)
  const mirror = new SubscriptionMirror(registry, copy)
  const keeper = new SubscriptionKeeper({
    register: (subscription) => registry.register(subscription),
    registry,
    subscriptions: config.apps.flatMap(({ subscriptions }) => subscriptions),
    log,
  })
  const parkings = new ParkingNotifier(database, schema)
  const notifier = new Notifier({ notes: new NoteReader({ access, receiver }), registry: copy })
  const { ageMs, bytes } = outbox.retention
  const retention = new Retention({ database, schema, ageMs, bytes, log })
  const sync = new SearchSync({ indexes: config.search.inRelays ? searchIndexesOf(config, database, log) : [], log })
  const startedAtMs = systemClock.monotonicMs()
  const health = new HealthServer({
    readiness: () => judgeRelay(relay.health(), systemClock.monotonicMs() - startedAtMs, stop.aborted),
    metrics: () => metrics.read(),
    onError: (error) => log.warn({ reason: error.message }, 'An error of the server that answers probes; it goes on'),
  })
  try {
    await listen(health, {
      port: options.healthPort ?? outbox.healthPort,
      host: options.healthHost ?? outbox.healthHost,
      option: 'outbox.healthPort',
      log,
    })
    const reach = async (name: 'Redis' | 'PostgreSQL', at: string, connect: () => Promise<unknown>) =>
      connectPatiently(connect, { name, at }, log, stop)
    if (!(await reach('Redis', describeUrl(redis.url), () => link.ready(redis.connectTimeoutMs)))) return
    const at = describePostgresUrl(postgres.url)
    if (!(await reach('PostgreSQL', at, () => requireSchema(database, { schema, namespace })))) return
    await keeper.start()
    relay.start()
    sync.start()
    log.info({ relay: relay.id, schema }, 'Relaying the outbox to the queue')
    const keeping = [
      runLoop(() => retention.runOnce(stop), { intervalMs: RETENTION_MS, name: 'retention', log, signal: stop }),
      runLoop(() => mirror.runOnce(), { intervalMs: MIRROR_MS, name: 'copy subscriptions', log, signal: stop }),
      runLoop(() => parkings.runOnce(), { intervalMs: NOTICE_MS, name: 'tell of parked keys', log, signal: stop }),
      runLoop(() => notifier.runOnce(), { intervalMs: NOTICE_MS, name: 'tell of dead letters', log, signal: stop }),
    ]
    await aborted(stop)
    log.info({}, 'Asked to stop: what is under way settles, and the lanes go to others')
    await Promise.all(keeping)
  } finally {
    // The relay before its servers; the probes last: they tell that it is not ready any more.
    await Promise.all([relay.stop(), keeper.stop(), sync.stop()])
    await Promise.all([link.close(), database.close()])
    await health.stop()
  }
}
