import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { eventsProjects } from '../../test/support/events-project.ts'
import { waitFor } from '../../test/support/wait-for.ts'

const projects = eventsProjects()

test('list-topics names those of Moca, and those that somebody subscribed or listens to', async (t) => {
  const it = await projects.open(t)
  await it.subscribe('mails', { topics: ['shop.orders', 'shop.*'] })
  await it.moca.events.listen('page.views', () => {})
  const { stdout, code } = await it.run('list-topics', '--json')
  assert.equal(code, 0)
  const { topics } = JSON.parse(stdout) as { topics: { topic: string; about?: string; subscriptions: string[] }[] }
  const named = (topic: string) => topics.find((each) => each.topic === topic)
  assert.deepEqual(named('shop.orders')?.subscriptions, ['mails'])
  assert.deepEqual(named('shop.*')?.subscriptions, ['mails'])
  assert.deepEqual(named('page.views')?.subscriptions, [])
  assert.equal(named('moca.doc.events')?.about, 'changes of documents')
  assert.match((await it.run('list-topics')).stdout, /^TOPIC +SUBSCRIPTIONS\n/)
})

test('consumer-status shows what waits for each subscription, in the log and as jobs', async (t) => {
  const it = await projects.open(t, { hasLog: true })
  assert.match((await it.run('consumer-status')).stdout, /Nobody is subscribed/)
  await it.subscribe('mails')
  await it.subscribe('bills', { topics: ['shop.*'], types: ['order.paid'], queue: 'long' })
  for (const key of ['a', 'a', 'b']) await it.moca.events.emit('shop.orders', { type: 'order.paid', key })
  await it.moca.events.emit('shop.orders', { type: 'order.cancelled' })
  await it.record({}, {}, { event_type: 'order.cancelled' }, { topic: 'mail' })
  const { subscriptions } = JSON.parse((await it.run('consumer-status', '--json')).stdout)
  const of = (name: string) => subscriptions.find((each: { name: string }) => each.name === name)
  const { lag, unpublished, waiting, gated, active, delayed, dead, queue } = of('mails')
  assert.deepEqual(
    { lag, unpublished, waiting, gated, active, delayed, dead, queue },
    { lag: 7, unpublished: 3, waiting: 3, gated: 1, active: 0, delayed: 0, dead: 0, queue: 'default' },
  )
  const bills = of('bills')
  assert.deepEqual([bills.unpublished, bills.waiting, bills.gated, bills.queue], [2, 2, 1, 'long'])
  assert.ok(Date.parse(bills.oldestAt) <= Date.now())
  const table = (await it.run('consumer-status')).stdout
  assert.match(table, /^SUBSCRIPTION +TOPICS +QUEUE +LAG +UNPUBLISHED/)
  assert.match(table, /^mails +shop\.orders +default +7 +3 +3 +1 +0 +0 +0 +[\d.]+ m?s$/m)
})

test('replay sends recorded events again, and asks before', async (t) => {
  const it = await projects.open(t, { hasLog: true })
  await it.record({ key: 'a', data: 0 })
  await it.subscribe('mails')
  await it.subscribe('bills')
  await it.record({ key: 'a', data: 1 }, { key: 'b', data: 2 }, { topic: 'mail', data: 3 })
  const payloads = async () =>
    (await it.moca.queue.list()).jobs
      .map(({ type, payload }) => `${type} ${(payload as { data: number }).data}`)
      .toSorted()
  const dry = await it.run('replay', 'shop.orders', '--since', '1h', '--dry-run', '--json')
  assert.deepEqual(JSON.parse(dry.stdout), { events: 3, jobs: 6, dryRun: true })
  const unasked = await it.run('replay', 'shop.orders', '--since', '1h')
  assert.equal(unasked.code, 2)
  assert.match(unasked.stderr, /no terminal to ask/)
  assert.deepEqual(await payloads(), [])
  const forced = await it.run('replay', 'shop.*', '--since', '1h', '--key', 'a', '--subscription', 'mails', '--force')
  assert.match(forced.stdout, /^Replayed 2 events as 2 jobs\.\n$/)
  assert.deepEqual(await payloads(), ['event:mails 0', 'event:mails 1'])
  const unknown = await it.run('replay', 'shop.orders', '--since', '1h', '--subscription', 'mial', '--force')
  assert.equal(unknown.code, 2)
  assert.match(unknown.stderr, /There is no subscription mial; registered are bills, mails/)
  assert.equal((await it.run('replay', 'shop.orders')).code, 2)
  const nothing = await it.run('replay', 'nobody', '--since', '1h', '--force')
  assert.deepEqual([nothing.code, nothing.stdout], [0, 'Replayed 0 events as 0 jobs.\n'])
})

for (const hasLog of [false, true]) {
  test(`unsubscribe ends a subscription ${hasLog ? 'in PostgreSQL' : 'in Redis'}`, async (t) => {
    const it = await projects.open(t, { hasLog })
    await it.subscribe('mails')
    const unasked = await it.run('unsubscribe', 'mails')
    assert.equal(unasked.code, 2)
    const odd = await it.run('unsubscribe', 'mial', '--force')
    assert.equal(odd.code, 1)
    assert.match(odd.stderr, /There is no subscription mial; registered are mails/)
    const done = await it.run('unsubscribe', 'mails', '--force', '--json')
    assert.deepEqual(JSON.parse(done.stdout), { name: 'mails', unsubscribed: true })
    await it.moca.events.emit('shop.orders', { type: 'order.paid' })
    assert.deepEqual((await it.moca.queue.list()).jobs, [])
  })
}

test('says that a server is away', async (t) => {
  const it = await projects.open(t)
  const { code, stderr } = await it.project.run(['events', 'list-topics'], { REDIS_URL: 'redis://127.0.0.1:1' })
  assert.equal(code, 3)
  assert.match(stderr, /Could not connect to Redis/)
})

const SHOP = {
  'shop.ts': `
    import { defineSubscription } from 'SRC/index.ts'
    export const mails = defineSubscription({ name: 'mails', topics: ['shop.*'], start: process.env.START ?? 'now', retry: { attempts: 1 } })`,
  'handlers.ts': `
    import { handleEvent } from 'SRC/index.ts'
    import { mails } from './shop.ts'
    export default [handleEvent(mails, ({ event, topic, log }) => {
      log.info({ topic, data: event.data }, 'got it')
      if (event.data === 3) throw new Error('boom')
    })]`,
  'moca.config.ts': `
    import { defineApp, defineConfig } from 'SRC/index.ts'
    import { mails } from './shop.ts'
    export default defineConfig({
      apps: [defineApp({ name: 'shop', subscriptions: [mails], handlers: () => import('./handlers.ts') })],
    })`,
}

test('a worker registers the subscriptions of its apps, handles their events, registers them again when Redis forgot, and tells of dead ones', async (t) => {
  const project = await Project.make({ REDIS_URL: projects.redis.url, MOCA_NAMESPACE: 'shop' }, SHOP)
  t.after(() => project.remove())
  const worker = project.start(['worker', 'start'])
  await worker.said(/"subscription":"mails","topics":\["shop\.\*"\],"status":"registered".*Subscribed to events/)
  const publish = (data: number) =>
    project.run(['events', 'publish', 'shop.orders', JSON.stringify({ type: 'x', data })])
  assert.equal((await publish(1)).code, 0)
  await worker.said(/"topic":"shop\.orders","data":1,.*got it/)
  await projects.redis.cli(['DEL', '{moca:shop}:subscriptions'])
  await waitFor(async () => (await projects.redis.cli(['HEXISTS', '{moca:shop}:subscriptions', 's:mails'])) === '1')
  await publish(2)
  await worker.said(/"data":2,.*got it/)
  const tail = project.start(['events', 'tail', 'moca.notifications', '--json'])
  await tail.said(/Listening to/)
  await publish(3)
  await tail.said(/"event_type":"job\.dead".*"type":"event:mails","reason":"attempts used up"/)
  tail.kill('SIGTERM')
  worker.kill('SIGTERM')
  assert.equal((await worker.ended).code, 0)
})

test('a worker whose subscription wants the past says that it needs PostgreSQL, and one without a schema what to run', async (t) => {
  const project = await Project.make({ REDIS_URL: projects.redis.url, MOCA_NAMESPACE: 'shop2' }, SHOP)
  t.after(() => project.remove())
  const database = await projects.postgres.createDatabase(t)
  const [past, unmade] = await Promise.all([
    project.run(['worker', 'start'], { START: 'beginning' }),
    project.run(['worker', 'start'], { DATABASE_URL: database.url }),
  ])
  assert.equal(past.code, 2)
  assert.match(past.stderr, /Subscription mails cannot start with beginning: without PostgreSQL there is no log/)
  assert.equal(unmade.code, 1)
  assert.match(unmade.stderr, /There is no schema moca of Moca.*Run moca migrate/)
})
