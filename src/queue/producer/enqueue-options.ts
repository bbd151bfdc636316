import { hash } from 'node:crypto'
import { OptionError } from '../../errors.ts'
import { type EnqueueOptions, isOption, type OptionsPlace, parseEnqueueOptions } from '../../job/enqueue-options.ts'
import type { Job } from '../../job/job.ts'
import type { EntryOptions } from '../entry.ts'

/** What enqueue.lua is told about one job besides type and payload. */
export interface EncodedOptions {
  readonly entry: EntryOptions
  readonly control: Control
}

export interface Control {
  i?: string
  in?: number
  on?: number
  k?: string
  u?: string
  ut?: number
  big?: true
}

const ELSEWHERE = {
  backoff: "belongs into retry: { backoff: 'fixed' }",
  maxDelay: "belongs into retry: { maxDelay: '1h' }",
  jitter: 'belongs into retry: { jitter: 0 }',
}

export const ENQUEUE: OptionsPlace = {
  name: 'enqueue',
  besides: 'queue',
  elsewhere: new Map(
    Object.entries({ ...ELSEWHERE, payload: 'is the second argument: enqueue(job, payload, options)' }),
  ),
}

export const ENQUEUE_MANY: OptionsPlace = {
  name: 'an item of enqueueMany',
  besides: 'payload',
  elsewhere: new Map(
    Object.entries({ ...ELSEWHERE, queue: 'holds for all items of a call: enqueueMany(job, items, { queue })' }),
  ),
}

/** Checks and encodes the options of a job with this contract. Throws OptionError. */
export function encodeOptions(
  options: EnqueueOptions,
  contract: Pick<Job, 'retry' | 'onDead'>,
  idempotencyTtlMs: number,
  place: OptionsPlace = ENQUEUE,
): EncodedOptions {
  const { chosen, delayMs, runAtMs, idempotencyKey } = parseEnqueueOptions(options, contract, place)
  const control: Control = {}
  if (delayMs !== undefined) control.in = delayMs
  if (runAtMs !== undefined) control.on = runAtMs
  if (chosen.k !== undefined) control.k = chosen.k
  if (idempotencyKey !== undefined) {
    control.u = hash('sha256', idempotencyKey, 'base64url').slice(0, 16)
    control.ut = idempotencyTtlMs
  }
  return { entry: chosen, control }
}

/** Throws OptionError for anything but the options of a whole call of enqueueMany. */
export function requireManyOptions(options: object): void {
  for (const name of Object.keys(options)) {
    if (name === 'queue') continue
    const hint = isOption(name) ? 'belongs to the items: enqueueMany(job, [{ payload, ... }])' : 'is unknown'
    throw new OptionError(`Option ${name} of enqueueMany ${hint}. Known here is queue.`, { option: name })
  }
}
