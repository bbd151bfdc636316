import assert from 'node:assert/strict'
import { AsyncLocalStorage } from 'node:async_hooks'
import { test } from 'node:test'
import {
  cancel,
  defineApp,
  defineJob,
  defineSubscription,
  handle,
  handleEvent,
  HookError,
  type Hooks,
  retry,
} from '../../src/index.ts'
import { proxiedRedis } from '../support/proxied-redis.ts'
import { openBench } from '../support/workbench.ts'

const servers = proxiedRedis()
const sendMail = defineJob({ type: 'mail.send', retry: { attempts: 3, delay: 0 } })
const handlers = async () => ({})
const app = (name: string, hooks: Hooks) => defineApp({ name, handlers, hooks })

test('hooks run in the order of the configuration and its apps, around enqueue and attempt', async () => {
  const seen: string[] = []
  const named = (name: string): Hooks => ({
    enqueue: async ({ job, queue, items, isRecorded }, next) => {
      seen.push(`${name} enqueues ${items.length} ${job.type} to ${queue}${isRecorded ? ' recorded' : ''}`)
      await next(items.map((item) => ({ ...item, headers: { ...item.headers, [name]: 'was here' } })))
    },
    attempt: async ({ job }, next) => {
      seen.push(`${name} before`)
      await next()
      seen.push(`${name} after ${Object.keys(job.headers).join(' ')}`)
    },
  })
  const apps = [app('billing', named('billing')), app('shop', named('shop'))]
  await using bench = openBench(servers.redis, { hooks: named('own'), apps })
  await bench.startWorker({ handlers: [handle(sendMail, ({ payload }) => void seen.push(`runs ${String(payload)}`))] })
  const { status } = await bench.moca.queue.enqueue(sendMail, 'one')
  assert.equal(status, 'enqueued')
  await bench.settled(1, 'completed')
  assert.deepEqual(seen, [
    'own enqueues 1 mail.send to default',
    'billing enqueues 1 mail.send to default',
    'shop enqueues 1 mail.send to default',
    'own before',
    'billing before',
    'shop before',
    'runs one',
    'shop after own billing shop',
    'billing after own billing shop',
    'own after own billing shop',
  ])
  const items = [{ payload: 'two' }, { payload: 'three', key: 'k' }]
  const results = await bench.moca.queue.enqueueMany(sendMail, items)
  assert.deepEqual(
    results.map((result) => result.status),
    ['enqueued', 'enqueued'],
  )
  assert.ok(seen.includes('shop enqueues 2 mail.send to default'))
  await bench.settled(3, 'completed')
})

test('what an enqueue hook throws refuses the job, and what it throws too late says that the job was accepted', async () => {
  const refusal = new Error('No mail on Sundays')
  let isLate = false
  const enqueue: Hooks['enqueue'] = async (_call, next) => {
    if (!isLate) throw refusal
    await next()
    throw refusal
  }
  await using bench = openBench(servers.redis, { hooks: { enqueue } })
  await assert.rejects(bench.moca.queue.enqueue(sendMail, 1), (error) => error === refusal)
  assert.equal((await bench.counts('default')).waiting, 0)
  isLate = true
  await assert.rejects(bench.moca.queue.enqueue(sendMail, 1), (error) => {
    return error instanceof HookError && error.mayHaveBeenApplied && error.cause === refusal
  })
  assert.equal((await bench.counts('default')).waiting, 1)
})

test('what a hook hands on is checked like what a caller gives', async () => {
  const enqueue: Hooks['enqueue'] = ({ items }, next) => next(items.map((item) => ({ ...item, key: '' })))
  await using bench = openBench(servers.redis, { hooks: { enqueue } })
  await assert.rejects(bench.moca.queue.enqueue(sendMail, 1), { code: 'option_invalid' })
  await assert.rejects(bench.moca.queue.enqueueMany(sendMail, 'none' as never), { code: 'option_invalid' })
})

test('a handler runs in the context that an attempt hook opened, and its outcome is decided as without one', async () => {
  const context = new AsyncLocalStorage<string>()
  const attempt: Hooks['attempt'] = ({ job }, next) => context.run(job.type, next)
  const seen: string[] = []
  await using bench = openBench(servers.redis, { hooks: { attempt } })
  const handler = handle(sendMail, async ({ payload, attempt }) => {
    seen.push(`${context.getStore()} ${String(payload)} ${attempt}`)
    if (payload === 'again' && attempt === 1) throw retry({ after: 0 })
    if (payload === 'never') throw cancel()
  })
  await bench.startWorker({ handlers: [handler] })
  for (const payload of ['again', 'never']) await bench.moca.queue.enqueue(sendMail, payload)
  await bench.settled(1, 'completed')
  await bench.settled(1, 'cancelled')
  assert.deepEqual(seen.toSorted(), ['mail.send again 1', 'mail.send again 2', 'mail.send never 1'])
})

test('an attempt hook that throws, or forgets its handler, fails the attempt', async () => {
  let runs = 0
  const attempt: Hooks['attempt'] = async ({ attempt: number }, next) => {
    if (number === 1) return
    await next()
    if (number === 2) throw new Error('The context did not close')
  }
  await using bench = openBench(servers.redis, { hooks: { attempt } })
  await bench.startWorker({ handlers: [handle(sendMail, () => void runs++)] })
  const { id } = await bench.moca.queue.enqueue(sendMail, 1)
  await bench.settled(1, 'completed')
  assert.equal(runs, 2)
  const view = await bench.moca.queue.inspect(id)
  assert.deepEqual([view?.status, view?.attempt], ['completed', 3])
})

test('publish hooks run around emit, and their events reach the handlers through attempt hooks', async () => {
  const seen: unknown[] = []
  const hooks: Hooks = {
    publish: async ({ topic, events, isRecorded }, next) => {
      seen.push([topic, events.length, isRecorded])
      await next(events.map((event) => ({ ...event, user: 'ada' })))
    },
    attempt: async ({ job }, next) => {
      seen.push(job.type)
      await next()
    },
  }
  const orders = defineSubscription({ name: 'mails', topics: ['shop.orders'] })
  await using bench = openBench(servers.redis, { hooks })
  await bench.moca.events.subscribe(orders)
  await bench.startWorker({ handlers: [handleEvent(orders, ({ event }) => void seen.push(event.user))] })
  await bench.moca.events.emit('shop.orders', { type: 'order.paid' })
  await bench.settled(1, 'completed')
  assert.deepEqual(seen, [['shop.orders', 1, false], 'event:mails', 'ada'])
})
