import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { after, before, test } from 'node:test'
import { inspect } from 'node:util'
import { startProxy } from '../../test/support/proxy.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { AccessError, ConfigError, ConnectionError, UnsuitableServerError } from '../errors.ts'
import { Connection, describeUrl } from './connection.ts'

let redis: RedisServer
before(async () => {
  redis = await startRedis()
})
after(() => redis.stop())

async function open(options: { url?: string; connectTimeoutMs?: number; replyTimeoutMs?: number } = {}) {
  const connection = await Connection.open({ url: redis.url, ...options }, 'moca:test 1')
  return Object.assign(connection, { [Symbol.dispose]: () => connection.destroy() })
}

/** A server of ours in place of Redis. */
async function listen(onSocket: (socket: Socket) => void) {
  const sockets = new Set<Socket>()
  const server = createServer((socket) => {
    sockets.add(socket.on('error', () => {}))
    onSocket(socket)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    [Symbol.dispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

test('knows whom it talks to, and answers', async () => {
  using connection = await open()
  const info = await redis.cli(['INFO'])
  assert.match(info, new RegExp(`run_id:${connection.server.runId}\r?\n`))
  assert.match(info, new RegExp(`master_replid:${connection.server.replId}\r?\n`))
  assert.match(connection.server.version, /^\d+\.\d+/)
  assert.equal(await connection.send(['CLIENT', 'ID']), connection.clientId)
  assert.equal(await connection.send(['CLIENT', 'GETNAME']), 'moca:test_1')
  assert.equal(await connection.send(['PING']), 'PONG')
})

test('an answer that is an error rejects, and the connection goes on', async () => {
  using connection = await open()
  await assert.rejects(connection.send(['NOSUCHCOMMAND']), /unknown command/)
  assert.deepEqual([await connection.send(['PING']), connection.isOpen], ['PONG', true])
})

function scriptOf(text: string) {
  return { text, sha: createHash('sha1').update(text).digest('hex') }
}

const append = scriptOf("return redis.call('RPUSH', KEYS[1], ARGV[1])")

test('calls of scripts keep their order when the server forgets the scripts, and each is done once', async () => {
  using connection = await open()
  await connection.run(append, 'order', ['0'])
  const sent: Promise<unknown>[] = []
  sent.push(connection.send(['SCRIPT', 'FLUSH']), connection.run(append, 'order', ['1']))
  const refusedFirst = connection.send(['PING'])
  // The second is refused well after the first: whatever is called between must wait for it.
  sent.push(
    connection.send(['XREAD', 'BLOCK', '50', 'STREAMS', 'none', '$'], 50),
    connection.run(append, 'order', ['2']),
  )
  await refusedFirst
  sent.push(connection.run(append, 'order', ['3']))
  await Promise.all(sent)
  await connection.run(append, 'order', ['4'])
  assert.deepEqual(await connection.send(['LRANGE', 'order', '0', '-1']), ['0', '1', '2', '3', '4'])
})

test('calls of scripts wait while a script that the server forgot is loaded', async () => {
  using connection = await open()
  await connection.run(append, 'waits', ['0'])
  await connection.send(['SCRIPT', 'FLUSH'])
  const first = connection.run(append, 'waits', ['1'])
  await connection.send(['PING'])
  // The first is refused by now, and to be sent again behind the script that is being loaded.
  await Promise.all([first, connection.run(append, 'waits', ['2'])])
  assert.deepEqual(await connection.send(['LRANGE', 'waits', '0', '-1']), ['0', '1', '2'])
})

test('a script that the server can neither know nor load rejects, and the connection goes on', async () => {
  using connection = await open()
  await assert.rejects(connection.run(scriptOf('no Lua'), 'x', []), /Error compiling script/)
  assert.equal(await connection.run(append, 'after', ['1']), 1)
})

test('calls of scripts that wait for the server to know them reject when the connection breaks', async () => {
  using connection = await open()
  const sent: Promise<unknown>[] = [connection.send(['SCRIPT', 'FLUSH']), connection.run(append, 'broken', ['1'])]
  const refusedFirst = connection.send(['PING'])
  sent.push(connection.send(['XREAD', 'BLOCK', '60000', 'STREAMS', 'none', '$'], 60_000))
  sent.push(connection.run(append, 'broken', ['2']))
  await refusedFirst
  const [, ...calls] = [...sent, connection.run(append, 'broken', ['3'])]
  const all = Promise.allSettled(calls)
  connection.destroy()
  assert.deepEqual(new Set((await all).map(({ status }) => status)), new Set(['rejected']))
  await assert.rejects(connection.run(append, 'broken', ['4']), ConnectionError)
})

for (const policy of ['allkeys-lru', 'volatile-ttl']) {
  test(`refuses a server that throws keys away (${policy})`, async () => {
    await redis.cli(['CONFIG', 'SET', 'maxmemory-policy', policy])
    try {
      await assert.rejects(open(), (error: UnsuitableServerError) => {
        assert.ok(error instanceof UnsuitableServerError)
        assert.deepEqual([error.code, error.retryable], ['redis_unsuitable', false])
        assert.deepEqual(error.facts, { found: policy, expected: 'noeviction' })
        assert.match(error.message, new RegExp(`maxmemory-policy is ${policy}. Set it to noeviction`))
        return true
      })
    } finally {
      await redis.cli(['CONFIG', 'SET', 'maxmemory-policy', 'noeviction'])
    }
  })
}

test('refuses a replica, and may find a master there later', async () => {
  const replica = await startRedis({ args: ['--replicaof', '127.0.0.1', String(redis.port)] })
  try {
    await assert.rejects(open({ url: replica.url }), (error: ConnectionError) => {
      assert.ok(error instanceof ConnectionError && error.retryable)
      assert.match(error.message, /is a replica/)
      return true
    })
    await replica.cli(['REPLICAOF', 'NO', 'ONE'])
    using connection = await open({ url: replica.url })
    assert.ok(connection.isOpen)
  } finally {
    await replica.stop()
  }
})

test('refuses a server that is too old', async () => {
  const info = 'redis_version:6.2.14\r\nmaxmemory_policy:noeviction\r\nrole:master\r\n'
  using old = await listen((socket) => {
    socket.on('data', (chunk) => {
      // One answer for each command of the handshake.
      for (const [, command] of String(chunk).matchAll(/\*\d+\r\n\$\d+\r\n(\w+)/g)) {
        socket.write(command === 'INFO' ? `$${info.length}\r\n${info}\r\n` : ':1\r\n')
      }
    })
  })
  await assert.rejects(open({ url: old.url }), {
    name: 'UnsuitableServerError',
    message: /needs Redis 7\.0 or newer; the server at 127\.0\.0\.1:\d+ is 6\.2\.14/,
  })
})

test('gives up on a server that accepts and says nothing', async () => {
  using silent = await listen(() => {})
  await assert.rejects(open({ url: silent.url, connectTimeoutMs: 50 }), {
    name: 'ConnectionError',
    message: /did not answer within 50 ms/,
  })
})

test('says where nobody listens', async () => {
  const gone = await listen(() => {})
  gone[Symbol.dispose]()
  await assert.rejects(open({ url: gone.url }), {
    code: 'connection_lost',
    message: /Could not connect to Redis at 127/,
  })
})

test('a password appears in no error', async () => {
  const locked = await startRedis()
  try {
    await locked.cli(['CONFIG', 'SET', 'requirepass', 'right-secret'])
    const { port } = locked
    const urls = [
      `redis://:wrong-secret@127.0.0.1:${port}`,
      `redis://user:wrong-secret@127.0.0.1:${port}/3`,
      'redis://:wrong-secret@127.0.0.1:1',
      'redis://:wrong-secret@no host',
      'redis://:wrong-secret@127.0.0.1:99999',
      'redis://:wrong-secret%zz@127.0.0.1',
      'http://:wrong-secret@127.0.0.1',
    ]
    for (const [index, url] of urls.entries()) {
      await assert.rejects(open({ url }), (error: Error) => {
        assert.doesNotMatch(inspect(error, { depth: 20, showHidden: true }), /secret/, url)
        assert.ok(error instanceof (index < 2 ? AccessError : index === 2 ? ConnectionError : ConfigError), url)
        return true
      })
    }
    using connection = await open({ url: `redis://:right-secret@127.0.0.1:${port}` })
    await assert.rejects(
      connection.send(['NOSUCHCOMMAND']),
      (error) => !inspect(error, { depth: 20 }).includes('secret'),
    )
  } finally {
    await locked.stop()
  }
})

test('a command without an answer in time breaks the connection', async () => {
  using connection = await open({ replyTimeoutMs: 200 })
  await redis.kill('SIGSTOP')
  try {
    const unanswered = connection.send(['PING'])
    unanswered.catch(() => {})
    assert.match((await connection.closed).message, /did not answer within 200 ms: the connection hangs/)
    await assert.rejects(unanswered)
    assert.equal(connection.isOpen, false)
    await assert.rejects(connection.send(['PING']), ConnectionError)
  } finally {
    await redis.kill('SIGCONT')
  }
})

test('a blocking read may take its own time on top', async () => {
  using connection = await open({ replyTimeoutMs: 200 })
  const read = ['XREAD', 'BLOCK', '1100', 'STREAMS', 'none', '$']
  assert.equal(await connection.send(read, 1_100), null)
  assert.ok(connection.isOpen)
})

test('a quiet connection is no hang', async () => {
  using connection = await open({ replyTimeoutMs: 1 })
  await connection.send(['PING'])
  await connection.send(['XREAD', 'BLOCK', '600', 'STREAMS', 'none', '$'], 2_000)
  assert.equal(await connection.send(['PING'], 2_000), 'PONG')
})

test('an answer that lay unread while this process stood still is no hang', async () => {
  using connection = await open({ replyTimeoutMs: 400 })
  // Longer than three checks of the connection: that is how it notices that it did not run.
  const answer = connection.send(['PING'])
  const until = performance.now() + 1_700
  while (performance.now() < until);
  assert.equal(await answer, 'PONG')
  assert.ok(connection.isOpen)
})

test('tells when the server is gone, and does not come back by itself', async () => {
  const mortal = await startRedis()
  try {
    using connection = await open({ url: mortal.url })
    const unanswered = connection.send(['XREAD', 'BLOCK', '0', 'STREAMS', 'none', '$'], 60_000)
    const refused = assert.rejects(unanswered)
    await mortal.kill('SIGKILL')
    assert.ok((await connection.closed) instanceof ConnectionError)
    await refused
    await mortal.start()
    await assert.rejects(connection.send(['PING']), ConnectionError)
  } finally {
    await mortal.stop()
  }
})

test('destroying it rejects what is unanswered; twice is harmless', async () => {
  using connection = await open()
  const refused = assert.rejects(connection.send(['XREAD', 'BLOCK', '0', 'STREAMS', 'none', '$'], 60_000))
  connection.destroy(new ConnectionError('enough'))
  connection.destroy(new ConnectionError('again'))
  assert.equal((await connection.closed).message, 'enough')
  await refused
})

test('hears what is said on a channel', async () => {
  using listener = await open()
  using speaker = await open()
  const heard: string[] = []
  await listener.subscribe('news', (message) => heard.push(message))
  assert.equal(await speaker.send(['PUBLISH', 'news', 'hello']), 1)
  await waitFor(() => heard.length > 0)
  assert.deepEqual(heard, ['hello'])
})

test('a connection that listens answers to PING, and is broken when it does not', async () => {
  using listener = await open({ replyTimeoutMs: 200 })
  await listener.subscribe('news', () => {})
  assert.equal(await listener.send(['PING']), 'pong')
  await redis.kill('SIGSTOP')
  try {
    const refused = assert.rejects(listener.send(['PING']))
    assert.match((await listener.closed).message, /the connection hangs/)
    await refused
  } finally {
    await redis.kill('SIGCONT')
  }
})

for (const [what, ask] of Object.entries<(connection: Connection) => Promise<unknown>>({
  'a command': (connection) => connection.send(['PING']),
  'a call of a script': (connection) => connection.run(append, 'hangs', ['1']),
  'a subscription': (connection) => connection.subscribe('news', () => {}),
})) {
  test(`${what} that a hanging network swallows is told so`, async () => {
    const proxy = await startProxy({ targetPort: () => redis.port })
    try {
      using connection = await open({ url: proxy.url, replyTimeoutMs: 200 })
      proxy.setFaults({ kind: 'hole' })
      const expected = { name: 'ConnectionError', message: 'Redis did not answer within 200 ms: the connection hangs' }
      await assert.rejects(ask(connection), expected)
      await assert.rejects(ask(connection), expected)
    } finally {
      await proxy.stop()
    }
  })
}

test('what is unanswered on a connection that is destroyed is told why, calls of scripts that wait included', async () => {
  using connection = await open()
  const read = ['XREAD', 'BLOCK', '60000', 'STREAMS', 'none', '$']
  const refused = [connection.send(['SCRIPT', 'FLUSH']).then(() => connection.run(append, 'told', ['1']))]
  await connection.send(['PING'])
  await connection.send(['PING'])
  refused.push(connection.send(read, 60_000), connection.run(append, 'told', ['2']))
  const reason = new ConnectionError('enough')
  connection.destroy(reason)
  const ends = await Promise.allSettled([...refused, connection.send(['PING']), connection.run(append, 'told', ['3'])])
  for (const end of ends) assert.deepEqual(end, { status: 'rejected', reason })
})

test('a subscription without an answer in time breaks the connection', async () => {
  using listener = await open({ replyTimeoutMs: 200 })
  await redis.kill('SIGSTOP')
  try {
    await assert.rejects(listener.subscribe('news', () => {}))
    assert.match((await listener.closed).message, /the connection hangs/)
  } finally {
    await redis.kill('SIGCONT')
  }
})

test('describes a URL without its secrets', () => {
  assert.equal(describeUrl('redis://user:secret@example.org:7000/3'), 'example.org:7000/3')
  assert.equal(describeUrl('rediss://:secret@example.org/'), 'example.org:6379')
  assert.equal(describeUrl('redis://:secret@exa mple'), 'an unreadable URL')
})
