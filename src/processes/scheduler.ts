import { systemClock } from '../clock.ts'
import { maxWaitingOf, resolveConfig } from '../config/config.ts'
import type { ConfigInput } from '../config/options.ts'
import type { Logger } from '../logger.ts'
import { Database } from '../postgres/database.ts'
import { ConfirmedCounts } from '../queue/confirmed-counts.ts'
import { linkNamespace } from '../queue/link-namespace.ts'
import { LossDetector } from '../queue/loss-detector.ts'
import { NamespaceAccess } from '../queue/namespace-access.ts'
import { Receiver } from '../queue/receiver/receiver.ts'
import { describeUrl } from '../redis/connection.ts'
import { KeptSchedules } from '../scheduler/kept-schedules.ts'
import { restoreSchedules } from '../scheduler/restore-schedules.ts'
import { ScheduleStore } from '../scheduler/schedule-store.ts'
import { Scheduler } from '../scheduler/scheduler.ts'
import { HealthServer } from '../service/health.ts'
import { runLoop } from '../service/loop.ts'
import { SchedulerMetrics } from './scheduler-metrics.ts'
import { judgeScheduler } from './scheduler-readiness.ts'
import { aborted, connectPatiently, listen } from './start-up.ts'

export interface SchedulerProcessOptions {
  readonly input: ConfigInput
  readonly log: Logger
  /** In place of what the configuration says. */
  readonly healthPort?: number | undefined
  readonly healthHost?: string | undefined
  /** Aborts when the process is asked to stop. */
  readonly stop: AbortSignal
}

/** Whether what Redis knows is to be compared with what is kept is looked at so often. */
const RESTORE_MS = 500

/** A scheduler from its configuration to its clean end. Rejects with what makes it impossible, before it has begun. */
export async function runSchedulerProcess(options: SchedulerProcessOptions): Promise<void> {
  const { input, log, stop } = options
  const config = resolveConfig(input)
  const { namespace, redis, postgres, queue, schedules, scheduler: settings } = config
  const losses = new LossDetector(log)
  const link = linkNamespace({ redis, namespace, role: 'scheduler', losses, log })
  const receiver = new Receiver({
    link,
    counts: new ConfirmedCounts(losses),
    clock: systemClock,
    maxWaiting: maxWaitingOf(config),
    timeoutMs: redis.connectTimeoutMs,
  })
  const store = new ScheduleStore(new NamespaceAccess(link, namespace, redis.connectTimeoutMs))
  const { url } = postgres
  const database =
    url === undefined ? undefined : new Database({ ...postgres, url, name: `moca:${namespace}:scheduler` })
  const kept = database && new KeptSchedules(database, postgres.schema)
  let isRestored = kept === undefined
  const define = async () => {
    isRestored = kept === undefined
    await store.define('config', schedules, queue.maxPayloadBytes)
  }
  // Beside firing, which goes on while PostgreSQL is away.
  const restore = async () => {
    if (isRestored || !kept) return
    isRestored = true
    try {
      const restored = await restoreSchedules(kept, store)
      const isNews = Object.values(restored).some((count) => count > 0)
      if (isNews) log.info(restored, 'Redis had forgotten schedules of run time: they are there again')
    } catch (error) {
      isRestored = false
      throw error
    }
  }
  const metrics = new SchedulerMetrics(() => scheduler.health())
  const scheduler: Scheduler = new Scheduler({
    store,
    receiver,
    clock: systemClock,
    log,
    define,
    onFires: (fired) => metrics.count(fired),
  })
  const startedAtMs = systemClock.monotonicMs()
  const health = new HealthServer({
    readiness: () => judgeScheduler(scheduler.health(), systemClock.monotonicMs() - startedAtMs, stop.aborted),
    metrics: () => metrics.read(),
    onError: (error) => log.warn({ reason: error.message }, 'An error of the server that answers probes; it goes on'),
  })
  try {
    await listen(health, {
      port: options.healthPort ?? settings.healthPort,
      host: options.healthHost ?? settings.healthHost,
      option: 'scheduler.healthPort',
      log,
    })
    const server = { name: 'Redis', at: describeUrl(redis.url) } as const
    if (!(await connectPatiently(() => link.ready(redis.connectTimeoutMs), server, log, stop))) return
    if (!(await connectPatiently(define, server, log, stop))) return
    scheduler.start()
    const restoring = runLoop(restore, { intervalMs: RESTORE_MS, name: 'restore schedules', log, signal: stop })
    log.info(
      { scheduler: scheduler.id, schedules: schedules.length },
      'Scheduling: fires while it leads, else stands by',
    )
    await aborted(stop)
    log.info({}, 'Asked to stop: the lead goes to another scheduler')
    await restoring
  } finally {
    await scheduler.stop()
    await Promise.all([link.close(), database?.close()])
    await health.stop()
  }
}
