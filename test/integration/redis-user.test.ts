import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { test } from 'node:test'
import { AccessError, createMoca, createWorker, defineJob, defineSubscription, handle } from '../../src/index.ts'
import { Project } from '../support/command-line.ts'
import { startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'

const job = defineJob({ type: 'job' })

test('the user of docs/reference/redis-user.md may do all that an application, a worker and the command line do', async () => {
  const page = await readFile(new URL('../../docs/reference/redis-user.md', import.meta.url), 'utf8')
  const [, command = ''] = /^ACL (SETUSER .+)$/m.exec(page) ?? []
  const redis = await startRedis()
  const url = `redis://moca:password@127.0.0.1:${redis.port}`
  const project = await Project.make({ REDIS_URL: url, MOCA_NAMESPACE: 'shop' })
  try {
    await redis.cli(['ACL', ...command.split(' ')])
    const log: string[] = []
    const note = (_facts: object, message = '') => void log.push(message)
    const logger = { debug: () => {}, info: () => {}, warn: note, error: note, child: () => logger }
    await using moca = createMoca({ namespace: 'shop', redis: { url }, logger })
    let failures = 0
    await using worker = createWorker(moca, {
      handlers: [
        handle(job, ({ payload }) => {
          if (payload === 'fails' && failures++ === 0) throw new Error('once')
          if (payload === 'dies') throw new Error('always')
        }),
      ],
    })
    const completed: unknown[] = []
    worker.on('settled', ({ outcome }) => void completed.push(outcome))
    await worker.start()
    const large = 'x'.repeat(100_000)
    await moca.queue.enqueueMany(job, [{ payload: 1, key: 'k' }, { payload: 2, key: 'k' }, { payload: large }])
    await moca.queue.enqueue(job, 'fails', { delay: 1, retry: { delay: 1, attempts: 2 } })
    await moca.queue.enqueue(job, 'once', { idempotencyKey: 'once' })
    const { id } = await moca.queue.enqueue(job, 'dies', { retry: { attempts: 1 } })
    const later = await moca.queue.enqueue(job, 'later', { delay: '1h' })
    await waitFor(() => completed.filter((outcome) => outcome === 'completed').length === 5)
    await waitFor(() => completed.includes('dead'))
    const heard: unknown[] = []
    await moca.events.listen(['orders', 'shop.*', '*'], ({ event }) => void heard.push(event.data))
    await moca.events.subscribe(defineSubscription({ name: 'mails', topics: ['orders'] }))
    await moca.events.emit('orders', { type: 'order.paid', key: 'k', data: 1 })
    await waitFor(() => heard.length === 1)
    for (const args of [
      ['events', 'list-topics'],
      ['events', 'consumer-status'],
      ['events', 'publish', 'shop.orders', '{"type":"order.paid"}'],
      ['events', 'unsubscribe', 'mails', '--force'],
      ['queue', 'status'],
      ['queue', 'list', '--status', 'completed'],
      ['queue', 'list'],
      ['queue', 'inspect', id],
      ['verify'],
      ['queue', 'cancel', later.id],
      ['queue', 'purge', '--queue', 'default', '--force'],
    ]) {
      const { code, stderr } = await project.run(args)
      assert.equal(code, 0, `${args.join(' ')}: ${stderr}`)
    }
    assert.deepEqual(
      log.filter((message) => !/^A job is dead|^An attempt failed/.test(message)),
      [],
    )
  } finally {
    await project.remove()
    await redis.stop()
  }
})

test('a worker and an application whose user is not let in, or lacks a permission, are told at the start', async () => {
  const redis = await startRedis()
  const url = `redis://moca:password@127.0.0.1:${redis.port}`
  try {
    const start = async () => {
      await using moca = createMoca({ namespace: 'shop', redis: { url } })
      await assert.rejects(moca.connect(), AccessError)
      await using worker = createWorker(moca, { handlers: [handle(job, () => {})] })
      const failed = await worker.start().then(
        () => undefined,
        (error: unknown) => error,
      )
      assert.ok(failed instanceof AccessError, String(failed))
      assert.deepEqual([failed.code, failed.retryable], ['redis_refused', false])
      return failed.message
    }
    assert.match(await start(), /lets nobody in with this user and password: WRONGPASS.*redis\.url/)
    await redis.cli(['ACL', 'SETUSER', 'moca', 'on', '>password', '~*', '&*', '+@all', '-evalsha'])
    assert.match(await start(), /refused the script open to this user: NOPERM.*Grant \+evalsha/)
  } finally {
    await redis.stop()
  }
})
