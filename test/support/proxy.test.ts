import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { after, afterEach, before, test } from 'node:test'
import { type Proxy, startProxy } from './proxy.ts'
import { type RedisServer, startRedis } from './redis-server.ts'
import { waitFor } from './wait-for.ts'

let redis: RedisServer
let proxy: Proxy

before(async () => {
  redis = await startRedis()
  proxy = await startProxy({ targetPort: () => redis.port })
})
afterEach(async () => {
  proxy.heal()
  await waitFor(() => proxy.names.length === 0, { describe: 'the connections of the test to be gone' })
})
after(async () => {
  await proxy.stop()
  await redis.stop()
})

test('passes bytes in both directions and the end of a connection', async () => {
  const client = await open()
  assert.equal(await client.ask('PING'), '+PONG')
  client.socket.end()
  await waitFor(() => proxy.names.length === 0, { describe: 'both sides to be closed' })
})

test('a hole swallows commands of connections with a name, and delivers them late when it is healed', async () => {
  const holed = await open('victim')
  const other = await open('other')
  proxy.setFaults({ kind: 'hole', name: /victim/ })
  holed.socket.write('SET late 1\r\n')
  await waitFor(() => proxy.holding === 1)
  assert.equal(await other.ask('PING'), '+PONG')
  assert.equal(await other.ask('EXISTS late'), ':0')
  proxy.heal()
  await waitFor(async () => (await other.ask('EXISTS late')) === ':1', { describe: 'the late command' })
  holed.socket.destroy()
  other.socket.destroy()
})

test('delivers what a client sent before it gave up', async () => {
  const holed = await open('gone')
  const other = await open()
  proxy.setFaults({ kind: 'hole', name: /gone/ })
  holed.socket.write('SET after-the-end 1\r\n')
  await waitFor(() => proxy.holding === 1)
  holed.socket.destroy()
  proxy.heal()
  await waitFor(async () => (await other.ask('EXISTS after-the-end')) === ':1', { describe: 'the late command' })
  other.socket.destroy()
})

test('a hole whose contents are lost ends its connections', async () => {
  const holed = await open()
  proxy.setFaults({ kind: 'hole' })
  holed.socket.write('SET lost 1\r\n')
  await waitFor(() => proxy.holding === 1)
  const closed = once(holed.socket, 'close')
  proxy.heal({ isLost: true })
  await closed
  assert.equal(await redis.cli(['EXISTS', 'lost']), '0')
})

test('a hole accepts new connections and never answers them', async () => {
  proxy.setFaults({ kind: 'hole' })
  const client = await open()
  const answer = client.ask('PING')
  await waitFor(() => proxy.holding === 1)
  proxy.heal()
  assert.equal(await answer, '+PONG')
  client.socket.destroy()
})

test('a fault for old connections leaves new ones alone', async () => {
  const old = await open()
  proxy.setFaults({ kind: 'hole', isForOldOnly: true })
  const fresh = await open()
  old.socket.write('SET from-old 1\r\n')
  await waitFor(() => proxy.holding === 1)
  assert.equal(await fresh.ask('EXISTS from-old'), ':0')
  old.socket.destroy()
  fresh.socket.destroy()
})

test('delays in order', async () => {
  const client = await open()
  proxy.setFaults({ kind: 'delay', delayMs: 60, direction: 'toServer' })
  const from = performance.now()
  const answers = await Promise.all([client.ask('ECHO 1'), client.ask('ECHO 2')])
  assert.deepEqual(answers, ['1', '2'])
  assert.ok(performance.now() - from >= 59)
  proxy.heal()
  client.socket.destroy()
})

test('cuts, refuses, and leads new connections to another server', async () => {
  const client = await open()
  const closed = once(client.socket, 'close')
  proxy.refuse()
  await closed
  const refused = connect(Number(new URL(proxy.url).port), '127.0.0.1').on('error', () => {})
  await once(refused, 'close')
  proxy.heal()
  const again = await open()
  assert.equal(await again.ask('PING'), '+PONG')
  again.socket.destroy()
})

/** A client that asks one line at a time and gets one line for each (bulk strings without their length). */
async function open(name?: string): Promise<{ socket: Socket; ask: (command: string) => Promise<string> }> {
  const socket = connect(Number(new URL(proxy.url).port), '127.0.0.1').on('error', () => {})
  await once(socket, 'connect')
  const waiters: ((line: string) => void)[] = []
  let text = ''
  socket.on('data', (bytes) => {
    text += String(bytes)
    for (let end = text.indexOf('\r\n'); end >= 0; end = text.indexOf('\r\n')) {
      const line = text.slice(0, end)
      text = text.slice(end + 2)
      if (!line.startsWith('$')) waiters.shift()?.(line)
    }
  })
  const ask = (command: string) => {
    socket.write(`${command}\r\n`)
    return new Promise<string>((resolve) => {
      waiters.push(resolve)
    })
  }
  if (name !== undefined) {
    socket.write(`*3\r\n$6\r\nCLIENT\r\n$7\r\nSETNAME\r\n$${name.length}\r\n${name}\r\n`)
    await new Promise<string>((resolve) => {
      waiters.push(resolve)
    })
  }
  return { socket, ask }
}
