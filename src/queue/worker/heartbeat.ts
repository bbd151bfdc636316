import { hostname } from 'node:os'
import type { Clock } from '../../clock.ts'
import type { Lane } from './lane.ts'
import type { LossDetector } from '../loss-detector.ts'
import { loadScripts } from '../scripts.ts'
import { ServerClock } from './server-clock.ts'
import type { WorkerSession } from './worker-session.ts'

const LONGEST_BEAT_MS = 1_000

export interface HeartbeatDeps {
  readonly lanes: readonly Lane[]
  readonly workerId: string
  readonly leaseMs: number
  readonly clock: Clock
  readonly losses: LossDetector
  /** Types that this worker has handlers for. */
  readonly types: ReadonlySet<string>
  readonly running: () => number
  /** Whether a job could run alone here now, or does. */
  readonly wantsAlone: () => boolean
  /** A turn to run a job alone was granted. */
  readonly onTurn: () => void
  /** There are other streams to read than before. */
  readonly onStreams: () => void
}

interface Heard {
  readonly now: number
  readonly queues: Record<
    string,
    { accepted: number; acceptedAt: number; suspects: number; alone: number; sides?: string[] }
  >
  readonly mayRunAlone?: boolean
}

/** A worker's signs of life: they register it, and bring what it must know of the server. */
export class Heartbeat {
  readonly #deps: HeartbeatDeps
  readonly #serverClock = new ServerClock()
  /** Since when this worker has heard from the server without a long gap, and when it did last. */
  #healthySinceMs = 0
  #heardAtMs = 0

  constructor(deps: HeartbeatDeps) {
    this.#deps = deps
  }

  get intervalMs(): number {
    return Math.min(LONGEST_BEAT_MS, this.#deps.leaseMs / 4)
  }

  /** The server's clock, as well as this process knows it (ms). */
  serverNow(): number {
    return this.#deps.clock.wallMs() + this.#serverClock.offsetMs
  }

  /** A session was opened; how far the server's clock was ahead of ours then. */
  opened(clockOffsetMs: number): void {
    this.#serverClock.begin(clockOffsetMs)
    this.#healthySinceMs = this.#deps.clock.monotonicMs()
    this.#heardAtMs = this.#healthySinceMs
  }

  /**
   * A server that hung, a cut network, or a clock of the server that was set ages everybody's leases alike: whoever sweeps first would
   * take over the living. So a worker sweeps only after a lease in which it heard from the server all the time, and its clock ran like
   * ours; by then the living have renewed.
   */
  get maySweep(): boolean {
    const { leaseMs, clock } = this.#deps
    const now = clock.monotonicMs()
    return now - this.#healthySinceMs >= leaseMs && now - this.#heardAtMs <= leaseMs / 2
  }

  /** Gives one sign. */
  async beat(session: WorkerSession): Promise<void> {
    const { workerId, leaseMs, lanes, clock, running, wantsAlone } = this.#deps
    const queues = lanes.map(({ queue }) => queue)
    const about = { host: hostname(), pid: process.pid, queues, running: running(), consumer: session.consumer }
    const header = {
      w: workerId,
      about: JSON.stringify(about),
      lease: leaseMs,
      queues,
      alone: wantsAlone() ? true : undefined,
    }
    const askedMs = clock.monotonicMs()
    const heard = await this.#send(session, header)
    this.#heard(heard.now, askedMs)
    this.#learn(session, heard)
  }

  /** Tells the server that this worker is gone. */
  async leave(session: WorkerSession): Promise<void> {
    const { workerId, leaseMs } = this.#deps
    await this.#send(session, { w: workerId, lease: leaseMs, queues: [] })
  }

  async #send(session: WorkerSession, header: object): Promise<Heard> {
    const { connection, prefix } = session.work
    return JSON.parse(await connection.run<string>(loadScripts().beat, prefix, [JSON.stringify(header)])) as Heard
  }

  #heard(toldMs: number, askedMs: number): void {
    const { leaseMs, clock } = this.#deps
    const heardMs = clock.monotonicMs()
    const wasSet = this.#serverClock.read({ toldMs, askedMs, heardMs, wallMs: clock.wallMs() }, leaseMs / 4)
    if (heardMs - this.#heardAtMs > leaseMs / 2 || wasSet) this.#healthySinceMs = heardMs
    this.#heardAtMs = heardMs
  }

  #learn(session: WorkerSession, { now, queues, mayRunAlone }: Heard): void {
    const { lanes, losses, types, onTurn, onStreams } = this.#deps
    losses.sawTime(now)
    let hasOtherStreams = false
    for (const lane of lanes) {
      const state = queues[lane.queue]
      if (!state) continue
      losses.saw(lane.queue, session.bootId, state.accepted, state.acceptedAt)
      lane.suspects = state.suspects
      lane.alone = state.alone
      const sides = (state.sides ?? []).filter((type) => types.has(type)).toSorted()
      if (sides.join(' ') !== lane.sides.join(' ')) {
        lane.sides = sides
        hasOtherStreams = true
      }
    }
    if (hasOtherStreams) onStreams()
    if (mayRunAlone === true) onTurn()
  }
}
