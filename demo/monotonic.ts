/** Microseconds that only grow and that all processes of this machine share: what happened first can be told across processes. */
export function monotonicUs(): number {
  return Number(process.hrtime.bigint() / 1000n)
}
