import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { SchedulerHealth } from '../scheduler/scheduler.ts'

/** Metrics of a scheduler process. */
export class SchedulerMetrics {
  readonly #registry = new Registry()
  readonly #fires: Counter
  readonly #lateness: Histogram

  constructor(health: () => SchedulerHealth) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#fires = new Counter({
      name: 'moca_schedule_fires_total',
      help: 'Fires that this process enqueued',
      registers,
    })
    this.#lateness = new Histogram({
      name: 'moca_schedule_lateness_seconds',
      help: 'How late the latest fire of each batch was enqueued',
      buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 10, 60],
      registers,
    })
    const gauge = (name: string, help: string, read: () => number) => {
      const made: Gauge = new Gauge({ name, help, registers, collect: () => made.set(read()) })
    }
    gauge('moca_scheduler_leading', 'Whether this process leads', () => (health().isLeading ? 1 : 0))
    gauge('moca_scheduler_schedules', 'Enabled schedules that this process fires', () => health().schedules)
    gauge('moca_scheduler_last_answer_age_seconds', 'Since Redis last answered this process', () =>
      Math.min(health().lastAnswerAgoMs / 1000, process.uptime()),
    )
  }

  count({ count, lateMs }: { readonly count: number; readonly lateMs: number }): void {
    this.#fires.inc(count)
    this.#lateness.observe(lateMs / 1000)
  }

  async read(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() }
  }
}
