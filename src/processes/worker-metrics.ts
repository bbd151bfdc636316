import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Moca } from '../moca.ts'
import type { JobEvent, Worker } from '../queue/worker/worker.ts'

const COUNTED = {
  completed: ['moca_jobs_completed_total', 'Jobs that completed in this process'],
  delayed: ['moca_jobs_delayed_total', 'Attempts that failed or snoozed and come again later'],
  dead: ['moca_jobs_dead_total', 'Jobs that became dead letters in this process'],
  released: ['moca_jobs_released_total', 'Attempts handed back uncharged'],
  aside: ['moca_jobs_set_aside_total', 'Jobs set aside because this process has no handler for their type'],
  cancelled: ['moca_jobs_cancelled_total', 'Jobs that their handler cancelled'],
  expired: ['moca_jobs_expired_total', 'Jobs that were not started in time'],
  stale: ['moca_jobs_stale_total', 'Results refused because the job had been taken over'],
} as const

const RAN: readonly string[] = ['completed', 'delayed', 'dead', 'cancelled']
const LABELS = ['queue', 'type'] as const
const SCRAPE_MS = 2_000

/**
 * Metrics of a worker process. Labels are names of queues and of job types, which the code defines: few. What is counted in Redis
 * (moca_queue_*, moca_redis_*) is the same from every process of a namespace: take the maximum, not the sum.
 */
export class WorkerMetrics {
  readonly #registry = new Registry()
  readonly #queues = queueMetrics(this.#registry)
  readonly #moca: Moca

  constructor(moca: Moca, worker: Worker) {
    this.#moca = moca
    collectDefaultMetrics({ register: this.#registry })
    this.#countJobs(worker)
    this.#watchWorker(worker)
  }

  async read(): Promise<{ contentType: string; text: string }> {
    await within(SCRAPE_MS, () => this.#refreshQueues())
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() }
  }

  #countJobs(worker: Worker): void {
    const registers = [this.#registry]
    const counters = Object.fromEntries(
      Object.entries(COUNTED).map(([outcome, [name, help]]) => [
        outcome,
        new Counter({ name, help, labelNames: LABELS, registers }),
      ]),
    )
    const durations = new Histogram({
      name: 'moca_job_duration_seconds',
      help: 'From the start of a handler to its confirmed outcome',
      labelNames: LABELS,
      buckets: [0.001, 0.005, 0.02, 0.1, 0.5, 2, 10, 60, 300],
      registers,
    })
    const returned = new Counter({
      name: 'moca_jobs_returned_total',
      help: 'Fetched too early, handed back',
      registers,
    })
    const count = (outcome: string, { queue, type }: JobEvent) => counters[outcome]?.inc({ queue, type })
    worker.on('settled', (event) => {
      count(event.outcome, event)
      if (RAN.includes(event.outcome))
        durations.observe({ queue: event.queue, type: event.type }, event.durationMs / 1000)
    })
    worker.on('stale', (event) => count('stale', event))
    worker.on('returned', (jobs) => returned.inc(jobs))
  }

  #watchWorker(worker: Worker): void {
    const gauge = (name: string, help: string, read: () => number) => {
      const made: Gauge = new Gauge({
        name,
        help,
        registers: [this.#registry],
        collect: () => made.set(read()),
      })
    }
    // Before it has happened for the first time, its age is that of the process: an alarm on it must not stay silent.
    const seconds = (ms: number | undefined) => (ms === undefined ? process.uptime() : ms / 1000)
    gauge('moca_worker_connected', '1 while connected to Redis', () => Number(worker.health().isConnected))
    gauge('moca_worker_running_jobs', 'Handlers that run now', () => worker.health().running)
    gauge('moca_worker_buffered_jobs', 'Jobs fetched and not started', () => worker.health().buffered)
    gauge('moca_worker_unsettled_jobs', 'Outcomes not confirmed yet', () => worker.health().unsettled)
    gauge('moca_worker_last_fetch_age_seconds', 'Since the last answered read', () =>
      seconds(worker.health().lastFetchAgeMs),
    )
    gauge('moca_worker_last_renewal_age_seconds', 'Since leases were last renewed', () =>
      seconds(worker.health().lastRenewalAgeMs),
    )
  }

  /** What Redis counts, in one look. Redis away: it is left out, and the scrape does not wait for it. */
  async #refreshQueues(): Promise<void> {
    for (const metric of Object.values(this.#queues)) metric.reset()
    const [counts, losses] = await Promise.all([this.#moca.queue.counts(), this.#moca.queue.losses()])
    const { standing, oldest, lost } = this.#queues
    for (const [queue, { waiting, active, delayed, gated, dead, oldestWaitingMs }] of Object.entries(counts)) {
      for (const [state, jobs] of Object.entries({ waiting, active, delayed, gated, dead }))
        standing.set({ queue, state }, jobs)
      oldest.set({ queue }, (oldestWaitingMs ?? 0) / 1000)
    }
    for (const loss of losses) lost.inc({ queue: loss.queue }, loss.lost)
  }
}

function queueMetrics(registry: Registry) {
  const made = { labelNames: ['queue'], registers: [registry] }
  return {
    standing: new Gauge({
      ...made,
      name: 'moca_queue_jobs',
      help: 'Jobs by where they stand',
      labelNames: ['queue', 'state'],
    }),
    oldest: new Gauge({
      ...made,
      name: 'moca_queue_oldest_waiting_seconds',
      help: 'Since the oldest waiting job was accepted',
    }),
    lost: new Counter({
      ...made,
      name: 'moca_redis_lost_jobs_total',
      help: 'Accepted jobs that Redis forgot, at least',
    }),
  }
}

async function within(ms: number, action: () => Promise<void>): Promise<void> {
  const limit = new AbortController()
  const late = new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms)
    limit.signal.addEventListener('abort', () => clearTimeout(timer))
  })
  await Promise.race([action().catch(() => undefined), late])
  limit.abort()
}
