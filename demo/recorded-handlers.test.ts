import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { createMoca, createWorker, type Envelope } from '../src/index.ts'
import { type RedisServer, startRedis } from '../test/support/redis-server.ts'
import { waitFor } from '../test/support/wait-for.ts'
import { openDeliveryLedger, readDeliveryLedger } from './delivery-ledger.ts'
import { tallyCountry } from './jobs.ts'
import { openRaw } from './raw-redis.ts'
import { walk } from './raw-walk.ts'
import { makeRecordedHandlers } from './recorded-handlers.ts'
import { enrich, report } from './subscriptions.ts'

const NAMESPACE = 'handled'

let server: RedisServer
let ledgers = ''
before(async () => {
  server = await startRedis()
  ledgers = await mkdtemp(join(tmpdir(), 'moca-deliveries-'))
})
after(async () => {
  await server.stop()
  await rm(ledgers, { recursive: true })
})

test('handlers write down each attempt under subscription, subject and number; a bad city is a dead letter of its key', async () => {
  await using moca = createMoca({ namespace: NAMESPACE, redis: { url: server.url } })
  const ledger = await openDeliveryLedger(ledgers, 'worker')
  const worker = createWorker(moca, { handlers: makeRecordedHandlers(ledger) })
  await worker.start()
  // As a relay enqueues them.
  await moca.queue.enqueue(enrich.job, city(1, { action: 'created', version: 1 }), { key: 'enrich/:City:1' })
  await moca.queue.enqueue(enrich.job, city(1, { action: 'deleted', version: 1 }), { key: 'enrich/:City:1' })
  await moca.queue.enqueue(enrich.job, city(2, { action: 'created', version: 1, latitude: null }), {
    key: 'enrich/:City:2',
  })
  const counted = envelope({ event_type: 'country.changed', data: { subject: 'country:DE', number: 4 } })
  await moca.queue.enqueue(report.job, counted, { key: 'report/country:DE' })
  const tally = await moca.queue.enqueue(tallyCountry, { subject: 'tally:DE', number: 5 }, { key: 'tally:DE' })
  const names = async () =>
    (await readDeliveryLedger(ledgers)).map(({ route, subject, number, attempt, outcome, eventId }) =>
      [route, subject, number, attempt, outcome, eventId ?? 'no event'].join(' '),
    )
  await waitFor(async () => (await names()).length === 8, { timeoutMs: 15_000, describe: 'eight attempts' })
  await worker.stop()
  await ledger.close()
  assert.deepEqual((await names()).toSorted(), [
    'country.tally tally:DE 5 1 failed no event',
    'country.tally tally:DE 5 2 succeeded no event',
    'enrich City:1 1 1 succeeded event',
    'enrich City:1 2 1 succeeded event',
    'enrich City:2 1 1 failed event',
    'enrich City:2 1 2 failed event',
    'enrich City:2 1 3 failed event',
    'report country:DE 4 1 succeeded event',
  ])
  const [line] = (await readDeliveryLedger(ledgers)).filter(({ route }) => route === 'country.tally')
  assert.equal(line?.id, tally.id)

  const raw = await openRaw(server.url)
  const { jobs, findings } = await walk(raw, NAMESPACE)
  raw.close()
  assert.deepEqual(findings, [])
  assert.deepEqual(
    jobs.map(({ type, key, place }) => [type, key, place]),
    [['event:enrich', 'enrich/:City:2', 'dead']],
  )
})

function city(
  cityId: number,
  { action, version, latitude = 48 }: { action: string; version: number; latitude?: number | null },
): Envelope {
  const row = { city_id: cityId, name: 'Ulm', version, latitude }
  const isGone = action === 'deleted'
  const data = { data: isGone ? null : row, prev_data: isGone ? row : null }
  return envelope({ event_type: `City.${action}`, doctype: 'City', docname: String(cityId), action, ...data })
}

function envelope(fields: Partial<Envelope>): Envelope {
  const nothing = { source: null, site: null, doctype: null, docname: null, action: null, user: null, request_id: null }
  const rest = { event_id: 'event', event_type: '', timestamp: '2026-11-26T00:00:00.000Z', data: null, prev_data: null }
  return { ...rest, ...nothing, ...fields }
}
