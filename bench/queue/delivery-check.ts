import { makePayload, type Payload } from './payload.ts'

export interface DeliveryVerdict {
  readonly expected: number
  readonly delivered: number
  readonly missing: number
  /** Deliveries beyond the first of a job. */
  readonly repeated: number
  /** Deliveries whose number was never sent, or whose payload differs from what was sent. */
  readonly damaged: number
}

/** Counts the deliveries of the jobs 0 .. expected - 1 of a measurement, at most `capacity` of them. */
export class DeliveryCheck {
  readonly #counts: Uint8Array
  #expected: number | undefined
  #delivered = 0
  #repeated = 0
  #damaged = 0
  #highest = -1

  constructor(capacity: number, expected?: number) {
    this.#counts = new Uint8Array(capacity)
    this.#expected = expected
  }

  /** Jobs that have been delivered at least once. */
  get delivered(): number {
    return this.#delivered
  }

  /** Whether every job has been; false as long as their number is not known. */
  get isComplete(): boolean {
    return this.#delivered >= (this.#expected ?? Number.POSITIVE_INFINITY)
  }

  /** For a producer that learns only in the end how many jobs it has sent. */
  expect(jobs: number): void {
    this.#expected = jobs
  }

  record({ n, text }: Payload): void {
    const before = this.#counts[n]
    // Comparing lengths costs nothing; comparing every text would be measured as work of the system under test.
    if (before === undefined || text.length !== lengthOfText(n)) {
      this.#damaged++
      return
    }
    if (before > 0) this.#repeated++
    else this.#delivered++
    if (before < 255) this.#counts[n] = before + 1
    if (n > this.#highest) this.#highest = n
  }

  verdict(): DeliveryVerdict {
    const expected = this.#expected ?? 0
    return {
      expected,
      delivered: this.#delivered,
      missing: expected - this.#delivered,
      repeated: this.#repeated,
      damaged: this.#damaged + Math.max(0, this.#highest + 1 - expected),
    }
  }
}

export function isExact({ missing, repeated, damaged }: DeliveryVerdict): boolean {
  return missing === 0 && repeated === 0 && damaged === 0
}

const lengthWithOneDigit = makePayload(0).text.length

function lengthOfText(n: number): number {
  let length = lengthWithOneDigit
  for (let rest = n; rest >= 10; rest = Math.floor(rest / 10)) length--
  return length
}
