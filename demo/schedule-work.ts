import { waitFor } from '../test/support/wait-for.ts'
import { readFireLedger } from './fire-ledger.ts'
import type { RawRedis } from './raw-redis.ts'
import { INTERVALS_MS } from './scheduled.ts'

// How schedules stand, by the keys themselves and the ledgers.

/** Redis's clock, ms since 1970. */
export async function serverMsOf(redis: RawRedis): Promise<number> {
  const [seconds, microseconds] = await redis.send<[string, string]>('TIME')
  return Number(seconds) * 1_000 + Math.floor(Number(microseconds) / 1_000)
}

/** The scheduler that leads, by the name that it gave itself; undefined: none does. */
export async function leaderOf(redis: RawRedis, namespace: string): Promise<string | undefined> {
  const text = await redis.send<string | null>('GET', `{moca:${namespace}}:leader`)
  return /^\d+ ([^.]+)/.exec(text ?? '')?.[1]
}

/** Until the first instant of any schedule, ms. */
export function untilNextInstant(nowMs: number): number {
  return Math.min(...Object.values(INTERVALS_MS).map((everyMs) => everyMs - (nowMs % everyMs)))
}

/** Until handlers have run what was due by then; or for long enough: the account names what is missing. */
export async function waitForFires(ledgers: string, untilMs: number): Promise<void> {
  const areThere = async () => {
    const lines = await readFireLedger(ledgers)
    return Object.entries(INTERVALS_MS).every(([name, everyMs]) => {
      const last = Math.floor(untilMs / everyMs) * everyMs
      return lines.some(({ schedule, instantMs }) => schedule === name && instantMs === last)
    })
  }
  await waitFor(areThere, { timeoutMs: 15_000, intervalMs: 100 }).catch(() => {})
}
