import { systemClock } from '../../src/clock.ts'
import { defineSubscription, handleEvent } from '../../src/index.ts'
import { RedisEventBackend } from '../../src/events/backends/redis/redis-event-backend.ts'
import { RedisListener } from '../../src/events/backends/redis/redis-listener.ts'
import { RedisSubscriptions } from '../../src/events/backends/redis/redis-subscriptions.ts'
import type { RegisteredSubscription } from '../../src/events/subscription-registry.ts'
import { silentLogger } from '../../src/logger.ts'
import { ConfirmedCounts } from '../../src/queue/confirmed-counts.ts'
import { LossDetector } from '../../src/queue/loss-detector.ts'
import { openNamespace } from '../../src/queue/namespace.ts'
import { NamespaceAccess } from '../../src/queue/namespace-access.ts'
import { Receiver } from '../../src/queue/receiver/receiver.ts'
import { Connection } from '../../src/redis/connection.ts'
import { Link } from '../../src/redis/link.ts'
import { type BackendHarness, type Delivered, makeEvent } from '../conformance/event-backend.ts'
import type { Proxy } from './proxy.ts'
import type { RedisServer } from './redis-server.ts'
import { openBench } from './workbench.ts'

/** The backend of Redis behind a proxy; workers that get what is subscribed to reach the server directly. */
export async function openRedisBackend(
  redis: RedisServer,
  proxy: Proxy,
  limitMs: number,
): Promise<BackendHarness & AsyncDisposable> {
  const bench = openBench(redis)
  const { namespace } = bench
  const options = { url: proxy.url, connectTimeoutMs: 2_000, replyTimeoutMs: 2_000 }
  const link = new Link(async () => {
    const connection = await Connection.open(options, 'backend')
    return openNamespace(connection, namespace, { queues: [], makeGroups: false })
  }, silentLogger)
  const access = new NamespaceAccess(link, namespace, 2_000)
  const subscriptions = new RedisSubscriptions(access)
  const listener = new RedisListener({ options, prefix: access.prefix, name: 'listener', log: silentLogger })
  const receiver = new Receiver({
    link,
    counts: new ConfirmedCounts(new LossDetector(silentLogger)),
    clock: systemClock,
    maxWaiting: {},
    timeoutMs: 2_000,
  })
  const backend = new RedisEventBackend({ redis: access, receiver, subscriptions, listener })
  let subscribers = 0
  return {
    backend,
    limitMs,
    subscribe: async (topics) => {
      const delivered: Delivered[] = []
      const subscription = defineSubscription({ name: `s${++subscribers}`, topics })
      const handler = handleEvent(subscription, ({ event, topic }) => void delivered.push({ event, topic }))
      await bench.moca.events.subscribe(subscription)
      await bench.startWorker({ handlers: [handler] })
      return delivered
    },
    // One that more subscriptions ask for than a script can serve.
    unpublishable: async () => {
      const { job: _job, start: _start, ...definition } = defineSubscription({ name: 'crowd', topics: ['crowded'] })
      const crowd = Array.from(
        { length: 1_001 },
        (_, index): RegisteredSubscription => ({ ...definition, name: `crowd${index}`, since: 1 }),
      )
      const seen = await subscriptions.list()
      await subscriptions.replace(seen, [...seen.subscriptions, ...crowd])
      return makeEvent('crowded')
    },
    cut: () => proxy.refuse(),
    mend: () => proxy.heal(),
    [Symbol.asyncDispose]: async () => {
      await backend.close()
      await link.close()
      await bench[Symbol.asyncDispose]()
    },
  }
}
