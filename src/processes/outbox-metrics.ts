import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { Relay } from '../outbox/relay.ts'

/** Metrics of a relay process. */
export class OutboxMetrics {
  readonly #registry = new Registry()
  readonly #rows: Counter
  readonly #batches: Counter

  constructor(health: Relay<unknown>['health']) {
    const registers = [this.#registry]
    collectDefaultMetrics({ register: this.#registry })
    this.#rows = new Counter({
      name: 'moca_outbox_relayed_rows_total',
      help: 'Rows of the log that this process sent',
      registers,
    })
    this.#batches = new Counter({
      name: 'moca_outbox_batches_total',
      help: 'Batches that this process intended',
      registers,
    })
    const gauge = (name: string, help: string, read: () => number) => {
      const made: Gauge = new Gauge({ name, help, registers, collect: () => made.set(read()) })
    }
    gauge('moca_outbox_lanes', 'Lanes that this process owns', () => health().lanes.length)
    gauge(
      'moca_outbox_standing_lanes',
      'Lanes of this process that stand still until somebody does something',
      () => health().lanes.filter(({ standstill }) => standstill !== undefined).length,
    )
    gauge('moca_outbox_parked_keys', 'Keys that lanes of this process do not go on with', () =>
      health().lanes.reduce((sum, { parkedKeys }) => sum + parkedKeys.size, 0),
    )
    gauge('moca_outbox_last_look_age_seconds', 'Since this process last found the log readable', () =>
      Math.min(health().lastPassAgoMs / 1000, process.uptime()),
    )
  }

  /** A pass intended batches. */
  count({ lanes, rows }: { readonly lanes: number; readonly rows: number }): void {
    this.#batches.inc(lanes)
    this.#rows.inc(rows)
  }

  async read(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() }
  }
}
