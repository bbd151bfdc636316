import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveConfig } from '../config/config.ts'
import type { WorkerHealth } from '../queue/worker/worker.ts'
import { judgeReadiness } from './worker-readiness.ts'

const config = resolveConfig({ worker: { lease: '30s' }, redis: { replyTimeout: '10s' } }, {})
const working = { isConnected: true, lastFetchAgeMs: 10, lastRenewalAgeMs: 10, running: 0, buffered: 0, unsettled: 0 }

const CASES: [string, Partial<WorkerHealth>, { uptimeMs?: number; isStopping?: boolean }, string[]][] = [
  ['a worker that works', {}, {}, []],
  ['one that has just started', { lastFetchAgeMs: undefined, lastRenewalAgeMs: undefined }, { uptimeMs: 500 }, []],
  [
    'one that started long ago and never fetched',
    { lastFetchAgeMs: undefined },
    { uptimeMs: 20_000 },
    ['no fetch was answered for 20.0 s'],
  ],
  ['one without a connection', { isConnected: false }, {}, ['it is not connected to Redis']],
  ['one whose read hangs', { lastFetchAgeMs: 15_001 }, {}, ['no fetch was answered for 15.0 s']],
  ['one that is too busy to fetch', { lastFetchAgeMs: 60_000, running: 10 }, {}, []],
  ['one that cannot renew', { lastRenewalAgeMs: 31_000, running: 10 }, {}, ['no lease was renewed for 31.0 s']],
  ['one that is stopping', {}, { isStopping: true }, ['it is stopping']],
]

for (const [what, health, { uptimeMs = 100_000, isStopping = false }, reasons] of CASES) {
  test(`${what} is ${reasons.length === 0 ? 'ready' : 'not ready'}`, () => {
    const judged = judgeReadiness({ ...working, ...health }, config, uptimeMs, isStopping)
    assert.deepEqual([judged.isReady, judged.reasons], [reasons.length === 0, reasons])
  })
}
