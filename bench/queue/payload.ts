/** A job's payload: its number within the measurement and what fills it up to 200 bytes of JSON. */
export interface Payload {
  readonly n: number
  readonly text: string
}

export const payloadBytes = 200

const filling = 'Order 4711 is ready to ship. '.repeat(8)

export function makePayload(n: number): Payload {
  const empty = `{"n":${n},"text":""}`
  return { n, text: filling.slice(0, payloadBytes - empty.length) }
}

/** Payloads numbered `from` .. `from + count - 1`, cut into calls. */
export function makeBatches(count: number, perCall: number, from = 0): Payload[][] {
  const batches: Payload[][] = []
  for (let start = 0; start < count; start += perCall) {
    const size = Math.min(perCall, count - start)
    batches.push(Array.from({ length: size }, (_, index) => makePayload(from + start + index)))
  }
  return batches
}
