import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect } from 'node:net'
import { after, before, test } from 'node:test'
import { type RedisServer, startRedis } from './redis-server.ts'
import { TripWire } from './trip-wire.ts'
import { waitFor } from './wait-for.ts'

let redis: RedisServer
let wire: TripWire

before(async () => {
  redis = await startRedis()
  wire = await TripWire.start(redis.port)
})
after(async () => {
  await wire.stop()
  await redis.stop()
})

async function open() {
  const socket = connect(wire.port, '127.0.0.1')
  await once(socket, 'connect')
  let text = ''
  socket.on('data', (bytes) => {
    text += String(bytes)
  })
  const send = async (command: string) => {
    socket.write(`${command}\r\n`)
    // One piece each.
    const answer = await waitFor(() => text || undefined, { timeoutMs: 300 }).catch(() => 'none')
    text = ''
    return answer
  }
  return { socket, send }
}

for (const isDelivered of [true, false]) {
  test(`cuts at the piece it is armed for, which is ${isDelivered ? '' : 'not '}delivered`, async () => {
    const key = `tripped-${isDelivered}`
    const client = await open()
    assert.match(await client.send('PING'), /PONG/)
    let trips = 0
    wire.arm({ piece: 2, isDelivered, onTrip: () => trips++ })
    assert.match(await client.send('PING'), /PONG/)
    assert.equal(await client.send(`SET ${key} 1`), 'none')
    assert.equal(await client.send('SET never 1'), 'none')
    assert.equal(trips, 1)
    client.socket.destroy()
    wire.disarm()
    const other = await open()
    assert.match(await other.send('PING'), /PONG/)
    assert.equal(await redis.cli(['EXISTS', key]), isDelivered ? '1' : '0')
    assert.equal(await redis.cli(['EXISTS', 'never']), '0')
    other.socket.destroy()
  })
}

test('counts from the piece on that has a text', async () => {
  const client = await open()
  wire.arm({ piece: 2, from: 'GET here', isDelivered: false, onTrip: () => {} })
  assert.match(await client.send('PING'), /PONG/)
  assert.match(await client.send('PING'), /PONG/)
  assert.match(await client.send('GET here'), /-1/)
  assert.equal(await client.send('PING'), 'none')
  client.socket.destroy()
  wire.disarm()
})

test('counts only pieces that have a text', async () => {
  const client = await open()
  wire.arm({ piece: 2, of: 'GET', isDelivered: false, onTrip: () => {} })
  assert.match(await client.send('GET here'), /-1/)
  assert.match(await client.send('PING'), /PONG/)
  assert.equal(await client.send('GET here'), 'none')
  client.socket.destroy()
  wire.disarm()
})

test('holds a piece back, and what follows it, until it is released; others pass', async () => {
  const [client, other] = [await open(), await open()]
  let trips = 0
  wire.arm({ piece: 1, of: 'SET late', isDelivered: 'late', onTrip: () => trips++ })
  assert.equal(await client.send('SET late 1'), 'none')
  assert.equal(await client.send('GET late'), 'none')
  assert.equal(trips, 1)
  assert.match(await other.send('EXISTS late'), /:0/)
  assert.match(await wire.release(), /OK/)
  assert.match(await other.send('GET late'), /1/)
  assert.match(await client.send('SET late 2'), /OK/)
  await assert.rejects(wire.release(), /Nothing is held back/)
  client.socket.destroy()
  other.socket.destroy()
})
