import type { StreamRef } from './keeper-protocol.ts'
import { lettersOf, type StreamLetter } from '../keys.ts'

/** The streams a worker reads, numbered: the lease table and the keeper's thread name them by number. Numbers never change. */
export class StreamRegistry {
  readonly queues: readonly string[]
  readonly #refs = new Map<string, number>()
  readonly #streams: StreamRef[] = []
  readonly #onChange: (streams: readonly StreamRef[]) => void

  constructor(queues: readonly string[], onChange: (streams: readonly StreamRef[]) => void) {
    this.queues = queues
    this.#onChange = onChange
    for (const queue of queues) for (const letter of lettersOf([])) this.#add(queue, letter)
  }

  get streams(): readonly StreamRef[] {
    return [...this.#streams]
  }

  at(ref: number): StreamRef {
    return this.#streams[ref] as StreamRef
  }

  refOf(queue: string, letter: StreamLetter): number {
    const known = this.#refs.get(`${queue} ${letter}`)
    if (known !== undefined) return known
    const ref = this.#add(queue, letter)
    this.#onChange(this.streams)
    return ref
  }

  #add(queue: string, letter: StreamLetter): number {
    const ref = this.#streams.push({ queue, letter }) - 1
    this.#refs.set(`${queue} ${letter}`, ref)
    return ref
  }
}
