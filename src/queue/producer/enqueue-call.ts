import { formatJobId } from '../../job/job-id.ts'

export interface EnqueueResult {
  readonly id: string
  /** `duplicate`: a job with this idempotency key was accepted before; `id` is its id. */
  readonly status: 'enqueued' | 'duplicate'
}

/** A job ready for enqueue.lua: type, options, payload, control. */
export type EncodedJob = readonly [type: string, options: string, payload: string, control: string]

/** What enqueue.lua answers: `plain` jobs by the place of the first and how many were accepted, others by an answer each. */
export type EnqueueReply = readonly [accepted: number, atMs: string, ...answers: readonly (string | number)[]]

/** The jobs of one call of enqueue.lua, in the form in which it is told of them. */
export class EnqueueCall {
  readonly queue: string
  readonly isAtomic: boolean
  count = 0
  bytes = 0
  #type = ''
  /** All of one type and without options, as most are: told by their payloads alone. */
  #isPlain = true
  /** The first is the header's place. */
  #args: string[] = ['']

  constructor(queue: string, isAtomic: boolean) {
    this.queue = queue
    this.isAtomic = isAtomic
  }

  add([type, options, payload, control]: EncodedJob): void {
    if (this.count === 0) this.#type = type
    if (this.#isPlain && (options !== '' || control !== '' || type !== this.#type)) this.#tellAll()
    if (this.#isPlain) this.#args.push(payload)
    else this.#args.push(type, options, payload, control)
    this.count++
    this.bytes += options.length + payload.length
  }

  arguments(maxWaiting: number | undefined): string[] {
    const header = {
      q: this.queue,
      n: this.count,
      max: maxWaiting,
      atomic: this.isAtomic || undefined,
      plain: this.#isPlain ? this.#type : undefined,
    }
    this.#args[0] = JSON.stringify(header)
    return this.#args
  }

  /** The result of each job; undefined: the queue was full. */
  results([, , ...answers]: EnqueueReply): (EnqueueResult | undefined)[] {
    if (this.#isPlain) return this.#plainResults(String(answers[0]), Number(answers[1]))
    return answers.map((answer) => resultOf(this.queue, String(answer)))
  }

  #tellAll(): void {
    this.#isPlain = false
    this.#args = this.#args.flatMap((payload, index) => (index === 0 ? '' : [this.#type, '', payload, '']))
  }

  /** Their entry ids differ by the last number alone, which grows by one. */
  #plainResults(first: string, accepted: number): (EnqueueResult | undefined)[] {
    const firstId = formatJobId(this.queue, first)
    const cut = firstId.lastIndexOf('-') + 1
    const before = firstId.slice(0, cut)
    const from = Number(firstId.slice(cut))
    const results: (EnqueueResult | undefined)[] = []
    for (let index = 0; index < this.count; index++) {
      results.push(index < accepted ? { id: before + (from + index), status: 'enqueued' } : undefined)
    }
    return results
  }
}

function resultOf(queue: string, answer: string): EnqueueResult | undefined {
  if (answer === 'full') return undefined
  if (answer.startsWith('=')) return { id: answer.slice(1), status: 'duplicate' }
  return { id: formatJobId(queue, answer), status: 'enqueued' }
}
