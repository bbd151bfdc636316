import { systemClock } from '../clock.ts'
import { resolveConfig } from '../config/config.ts'
import { closest } from '../job/closest.ts'
import type { ConfigInput } from '../config/options.ts'
import { OptionError } from '../errors.ts'
import { SubscriptionKeeper } from '../events/subscription-keeper.ts'
import type { Logger } from '../logger.ts'
import { createMoca, type Moca } from '../moca.ts'
import { describeUrl } from '../redis/connection.ts'
import { HealthServer } from '../service/health.ts'
import { runLoop } from '../service/loop.ts'
import { createWorker } from '../worker.ts'
import { untilEmpty } from './burst.ts'
import { loadHandlers } from './handlers.ts'
import { WorkerMetrics } from './worker-metrics.ts'
import { aborted, connectPatiently, listen } from './start-up.ts'
import { judgeReadiness } from './worker-readiness.ts'

export interface WorkerProcessOptions {
  readonly input: ConfigInput
  readonly log: Logger
  /** Default: all queues of the configuration. */
  readonly queues?: readonly string[] | undefined
  /** For each queue, in place of what the configuration says. */
  readonly concurrency?: number | undefined
  /** Work until the queues are empty, then stop. */
  readonly isBurst: boolean
  /** In place of what the configuration says. */
  readonly healthPort?: number | undefined
  readonly healthHost?: string | undefined
  /** Aborts when the process is asked to stop. */
  readonly stop: AbortSignal
}

const NOTICE_MS = 1_000

/** A worker from its configuration to its clean end. Rejects with what makes work impossible, before any work is begun. */
export async function runWorkerProcess(options: WorkerProcessOptions): Promise<void> {
  const { input, log, stop, isBurst } = options
  const config = resolveConfig(input)
  const handlers = await loadHandlers(config.apps, log)
  const moca = createMoca({ ...input, logger: log })
  const queues = servedQueues(moca, options)
  const worker = createWorker(moca, { handlers, queues })
  const keeper = new SubscriptionKeeper({
    register: (subscription) => moca.events.subscribe(subscription),
    registry: moca.registry,
    subscriptions: config.apps.flatMap(({ subscriptions }) => subscriptions),
    log,
  })
  // Until the last job has settled: it may be a dead letter.
  const done = new AbortController()
  let telling: Promise<void> | undefined
  const metrics = new WorkerMetrics(moca, worker)
  const startedAtMs = systemClock.monotonicMs()
  const health = new HealthServer({
    readiness: () => {
      return judgeReadiness(worker.health(), config, systemClock.monotonicMs() - startedAtMs, stop.aborted)
    },
    metrics: () => metrics.read(),
    onError: (error) => log.warn({ reason: error.message }, 'An error of the server that answers probes; it goes on'),
  })
  try {
    await listen(health, {
      port: options.healthPort ?? config.worker.healthPort,
      host: options.healthHost ?? config.worker.healthHost,
      option: 'worker.healthPort',
      log,
    })
    if (
      !(await connectPatiently(() => moca.connect(), { name: 'Redis', at: describeUrl(config.redis.url) }, log, stop))
    )
      return
    await Promise.race([keeper.start(), aborted(stop)])
    await Promise.race([worker.start(), aborted(stop)])
    telling = runLoop(() => moca.notifier.runOnce(), {
      intervalMs: NOTICE_MS,
      name: 'tell of dead letters',
      log,
      signal: done.signal,
    })
    const served = { queues: Object.keys(queues), types: new Set(handlers.map(({ job }) => job.type)) }
    await (isBurst ? untilEmpty(moca, worker, served, stop) : aborted(stop))
    log.info({}, stop.aborted ? 'Asked to stop: finishing what runs' : 'The queues are empty: stopping')
  } finally {
    // Consumers before producers: handlers may enqueue until they are done. The probes last: they tell that it is not ready any more.
    await Promise.all([worker.stop(), keeper.stop()])
    done.abort()
    await telling
    await moca.close()
    await health.stop()
  }
}

function servedQueues(
  { config }: Moca,
  { queues, concurrency }: WorkerProcessOptions,
): Record<string, { concurrency?: number }> {
  const names = queues ?? Object.keys(config.queues)
  const strange = names.find((name) => !Object.hasOwn(config.queues, name))
  if (strange !== undefined) {
    const known = Object.keys(config.queues)
    const meant = closest(strange, known)
    const hint = meant === undefined ? `known are ${known.join(', ')}` : `did you mean ${meant}?`
    throw new OptionError(`There is no queue ${strange} in the configuration; ${hint}`, {
      option: '--queues',
      found: strange,
    })
  }
  return Object.fromEntries(names.map((name) => [name, concurrency === undefined ? {} : { concurrency }]))
}
