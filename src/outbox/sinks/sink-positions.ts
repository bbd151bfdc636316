import type { JobReceiver } from '../../job/job-receiver.ts'

/** How far a lane has come, by the sink's own word. */
export interface SinkPosition {
  readonly logId: string
  readonly n: number
  readonly epoch: number
  readonly digest: string
}

/** What an operator's command needs of a sink: to look how far its lanes have come, and to say how far they are to have come. */
export interface SinkPositions {
  readonly name: string
  positions(): Promise<ReadonlyMap<number, SinkPosition>>
  /** All at once, or none. Undefined: the lane never brought anything. */
  setPositions(positions: ReadonlyMap<number, SinkPosition | undefined>): Promise<void>
}

/** Of the queue. */
export class QueuePositions implements SinkPositions {
  readonly name = 'queue'
  readonly #receiver: Pick<JobReceiver, 'positions' | 'setPositions'>

  constructor(receiver: Pick<JobReceiver, 'positions' | 'setPositions'>) {
    this.#receiver = receiver
  }

  async positions(): Promise<ReadonlyMap<number, SinkPosition>> {
    const units = await this.#receiver.positions()
    return new Map(
      [...units].filter(([unit]) => /^\d+$/.test(unit)).map(([unit, position]) => [Number(unit), position]),
    )
  }

  async setPositions(positions: ReadonlyMap<number, SinkPosition | undefined>): Promise<void> {
    await this.#receiver.setPositions(
      new Map([...positions].map(([lane, position]) => [String(lane), position && { ...position, rows: 0 }])),
    )
  }
}
