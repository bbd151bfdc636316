import { DurableLog, readLines } from './durable-log.ts'
import type { Numbered } from './recorded.ts'

/** What a handler of recorded events or jobs wrote down about one attempt, on the disk before the attempt ended. */
export interface DeliveryLine extends Numbered {
  /** Name of the subscription; of a recorded job: its type. */
  readonly route: string
  /** Of the job by which it came. */
  readonly id: string
  /** Undefined: a recorded job. */
  readonly eventId: string | undefined
  readonly queue: string
  readonly key: string | undefined
  /** A bigint as text. */
  readonly fence: string
  readonly attempt: number
  readonly pid: number
  /** Monotonic, the same clock in all processes. */
  readonly us: number
  readonly outcome: 'succeeded' | 'failed'
  readonly error?: string
}

export type DeliveryLedger = DurableLog<DeliveryLine>

export function openDeliveryLedger(dir: string, process: string): Promise<DeliveryLedger> {
  return DurableLog.open<DeliveryLine>(`${dir}/${process}.jsonl`)
}

export function readDeliveryLedger(dir: string): Promise<DeliveryLine[]> {
  return readLines<DeliveryLine>(dir)
}
