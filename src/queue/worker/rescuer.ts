import type { Logger } from '../../logger.ts'
import { lettersOf, queueKey, type StreamLetter } from '../keys.ts'
import type { Lane } from './lane.ts'
import { mustReopen } from '../namespace.ts'
import { loadScripts } from '../scripts.ts'
import type { WorkerSession } from './worker-session.ts'

const PAGE = 100

export interface RescuerDeps {
  readonly lanes: readonly Lane[]
  readonly log: Logger
  /** For attempts of workers that the server does not know any more. */
  readonly leaseMs: number
  readonly maxStalls: number
  readonly unhandledGraceMs: number
  /** Asked before every page: while a sweep goes on, the server may have hung, and the living with it. */
  readonly maySweep: () => boolean
  /** The server's clock, as well as this process knows it (ms). */
  readonly serverNow: () => number
}

export interface RescueResult {
  readonly rescued: number
  readonly dead: number
}

/**
 * Puts jobs whose worker died back in the queue, as suspects. A worker counts as dead when it has not renewed an attempt for a lease,
 * by the server's clock, by that worker's own lease. Every worker sweeps; one script finds and moves a page, so that no two rescue the
 * same attempt.
 */
export class Rescuer {
  readonly #deps: RescuerDeps

  constructor(deps: RescuerDeps) {
    this.#deps = deps
  }

  async runOnce(session: WorkerSession, signal: AbortSignal): Promise<RescueResult> {
    const result = { rescued: 0, dead: 0 }
    for (const lane of this.#deps.lanes) {
      let sides: string[] = []
      await this.#goOn(session, { queue: lane.queue, key: 'sides' }, async () => {
        sides = await session.work.connection.send(['SMEMBERS', queueKey(session.work.prefix, lane.queue, 'sides')])
      })
      for (const letter of lettersOf(sides)) {
        await this.#goOn(session, { queue: lane.queue, stream: letter }, () =>
          this.#sweep(session, lane, letter, result, signal),
        )
      }
    }
    return result
  }

  /** A server that refuses one key must not keep the others from being swept. */
  async #goOn(session: WorkerSession, facts: object, action: () => Promise<void>): Promise<void> {
    try {
      await action()
    } catch (error) {
      if (!session.work.connection.isOpen || mustReopen(error)) throw error
      this.#deps.log.error({ ...facts, reason: (error as Error).message }, 'A part of a queue could not be swept')
    }
  }

  async #sweep(
    session: WorkerSession,
    lane: Lane,
    letter: StreamLetter,
    result: { rescued: number; dead: number },
    signal: AbortSignal,
  ): Promise<void> {
    const { log, leaseMs, maxStalls, unhandledGraceMs, maySweep, serverNow } = this.#deps
    let cursor = '0-0'
    do {
      if (signal.aborted || !maySweep()) return
      const header = JSON.stringify({
        q: lane.queue,
        s: letter,
        lease: leaseMs,
        cursor,
        limit: PAGE,
        consumer: session.consumer,
        maxStalls,
        grace: unhandledGraceMs,
        at: Math.round(serverNow()),
        within: leaseMs / 4,
      })
      const reply = await session.work.connection.run<[string, number, number, ...string[]]>(
        loadScripts().rescue,
        session.work.prefix,
        [header],
      )
      const [next, rescued, dead, ...taken] = reply
      cursor = next
      result.rescued += rescued
      result.dead += dead
      if (rescued + dead > 0)
        log.warn({ queue: lane.queue, rescued, dead, jobs: taken.slice(0, 20) }, 'Took over jobs of workers that died')
    } while (cursor !== '0-0')
  }
}
