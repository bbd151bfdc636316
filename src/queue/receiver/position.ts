import type { ReceivedPosition } from '../../job/job-receiver.ts'

/** A position as relay.lua writes and reads it: `<log id> <n> <epoch> <rows> <digest>`. */
export function formatPosition({ logId, n, epoch, rows, digest }: ReceivedPosition): string {
  return `${logId} ${n} ${epoch} ${rows} ${digest}`
}

/** Undefined for a text that is none, which relay.lua takes for nothing as well. */
export function parsePosition(text: string): ReceivedPosition | undefined {
  const [, logId, n, epoch, rows, digest] = /^(\S+) (\d+) (\d+) (\d+) (\S*)$/.exec(text) ?? []
  if (logId === undefined || digest === undefined) return undefined
  return { logId, n: Number(n), epoch: Number(epoch), rows: Number(rows), digest }
}
