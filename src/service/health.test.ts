import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HealthServer, type Readiness } from './health.ts'

const ready: Readiness = { isReady: true, reasons: [], facts: { running: 2 } }

async function serve(
  readiness: Readiness,
  metrics = async () => ({ contentType: 'text/plain; version=0.0.4', text: 'up 1\n' }),
) {
  const server = new HealthServer({ readiness: () => readiness, metrics })
  const base = `http://127.0.0.1:${await server.start(0, '127.0.0.1')}`
  const get = async (path: string) => {
    const response = await fetch(base + path)
    return { status: response.status, type: response.headers.get('content-type'), text: await response.text() }
  }
  return { get, [Symbol.asyncDispose]: () => server.stop() }
}

test('answers /healthz, /readyz and /metrics, and nothing else', async () => {
  await using server = await serve(ready)
  assert.deepEqual(await server.get('/healthz?verbose'), {
    status: 200,
    type: 'application/json',
    text: '{"status":"ok"}',
  })
  assert.deepEqual(await server.get('/readyz'), {
    status: 200,
    type: 'application/json',
    text: '{"status":"ready","reasons":[],"running":2}',
  })
  assert.deepEqual(await server.get('/metrics'), { status: 200, type: 'text/plain; version=0.0.4', text: 'up 1\n' })
  assert.equal((await server.get('/')).status, 404)
})

test('says with 503 why it is not ready', async () => {
  await using server = await serve({ isReady: false, reasons: ['it is stopping'], facts: {} })
  const { status, text } = await server.get('/readyz')
  assert.deepEqual([status, JSON.parse(text)], [503, { status: 'not ready', reasons: ['it is stopping'] }])
})

test('answers with 500 when the metrics cannot be read', async () => {
  await using server = await serve(ready, () => Promise.reject(new Error('broken')))
  assert.equal((await server.get('/metrics')).status, 500)
})

test('rejects a port that is taken, and stops twice or without a start', async () => {
  const deps = { readiness: () => ready, metrics: async () => ({ contentType: '', text: '' }) }
  const [first, second] = [new HealthServer(deps), new HealthServer(deps)]
  const port = await first.start(0, '127.0.0.1')
  await assert.rejects(second.start(port, '127.0.0.1'), /EADDRINUSE/)
  await second.stop()
  await first.stop()
  await first.stop()
})
