import type { StreamRef } from './keeper-protocol.ts'
import type { NamespaceConnection } from '../namespace.ts'
import { loadScripts } from '../scripts.ts'

/** At most so many entries in one script. */
export const LEASE_PAGE = 500

/** In whose name leases are kept. */
export interface LeaseHolder {
  readonly workerId: string
  /** Its present session: what is renewed is held by it from then on. */
  readonly consumer: string
  /** The queues it serves; scripts are told of streams by a number in this list. */
  readonly queues: readonly string[]
}

/** Renews the leases of these entries, which also confirms that they still are this worker's. Returns those that are not. */
export async function renewLeases<Held extends { readonly entry: string }>(
  { connection, prefix }: NamespaceConnection,
  { workerId, consumer, queues }: LeaseHolder,
  held: readonly Held[],
  streamOf: (held: Held) => StreamRef,
): Promise<Held[]> {
  const lost: Held[] = []
  for (let from = 0; from < held.length; from += LEASE_PAGE) {
    const page = held.slice(from, from + LEASE_PAGE)
    const header = JSON.stringify({ w: workerId, c: consumer, q: queues, n: page.length })
    const flat = page.flatMap((one) => [streamNumber(queues, streamOf(one)), one.entry])
    const positions = await connection.run<number[]>(loadScripts().renew, prefix, [header, ...flat])
    for (const position of positions) lost.push(page[position - 1] as Held)
  }
  return lost
}

/** A stream as scripts are told of it: the number of its queue in `queues`, from 1, and its letter. */
export function streamNumber(queues: readonly string[], { queue, letter }: StreamRef): string {
  return `${queues.indexOf(queue) + 1}${letter}`
}
