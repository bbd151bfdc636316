import assert from 'node:assert/strict'
import { once } from 'node:events'
import { request } from 'node:http'
import { Server } from 'node:net'
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

test('an error of the server while it listens ends nothing: it is told, and answering goes on', async (t) => {
  const made = t.mock.method(Server.prototype, 'listen')
  const told: string[] = []
  const server = new HealthServer({
    readiness: () => ready,
    metrics: async () => ({ contentType: '', text: '' }),
    onError: ({ message }) => told.push(message),
  })
  const port = await server.start(0, '127.0.0.1')
  const http = made.mock.calls[0]?.this as Server
  // As for accept() without a free file descriptor.
  http.emit('error', new Error('accept EMFILE'))
  http.emit('error', new Error('accept ENFILE'))
  assert.deepEqual(told, ['accept EMFILE', 'accept ENFILE'])
  assert.equal((await fetch(`http://127.0.0.1:${port}/healthz`)).status, 200)
  await server.stop()
})

test('a request for what is no URL gets its answer, too', async () => {
  const server = new HealthServer({ readiness: () => ready, metrics: async () => ({ contentType: '', text: '' }) })
  const port = await server.start(0, '127.0.0.1')
  const asked = request({ port, host: '127.0.0.1', path: '//' }).end()
  const [response] = await once(asked, 'response')
  assert.equal(response.statusCode, 404)
  await server.stop()
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
