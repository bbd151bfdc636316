import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import type { SyncHealth } from '../search/search-sync.ts'

/** Metrics of a process that keeps search indexes. */
export class SearchMetrics {
  readonly #registry = new Registry()
  readonly #indexed: Counter<'index'>
  readonly #parked: Counter<'index'>

  constructor(health: () => readonly SyncHealth[]) {
    const registers = [this.#registry]
    const labelNames = ['index'] as const
    collectDefaultMetrics({ register: this.#registry })
    this.#indexed = new Counter({
      name: 'moca_search_indexed_documents_total',
      help: 'Documents that this process brought to an index, or took out of it',
      labelNames,
      registers,
    })
    this.#parked = new Counter({
      name: 'moca_search_parked_documents_total',
      help: 'Documents that this process could not index, and parked',
      labelNames,
      registers,
    })
    const state: Gauge<'index' | 'state'> = new Gauge({
      name: 'moca_search_index_state',
      help: '1: the index is in this state here',
      labelNames: ['index', 'state'],
      registers,
      collect: () => {
        state.reset()
        for (const each of health()) state.set({ index: each.index, state: each.state }, 1)
      },
    })
  }

  /** Documents were brought to an index. */
  count(index: string, { indexed, parked }: { readonly indexed: number; readonly parked: number }): void {
    this.#indexed.inc({ index }, indexed)
    this.#parked.inc({ index }, parked)
  }

  async read(): Promise<{ contentType: string; text: string }> {
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() }
  }
}
