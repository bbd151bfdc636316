import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { type PostgresServer, startPostgres, type TestDatabase } from '../../test/support/postgres-server.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { createMoca, type Moca } from '../moca.ts'

let redis: RedisServer
let postgres: PostgresServer
let project: Project
before(async () => {
  ;[redis, postgres] = await Promise.all([startRedis(), startPostgres()])
  project = await Project.make({ REDIS_URL: redis.url })
})
after(async () => {
  await project.remove()
  await Promise.all([redis.stop(), postgres.stop()])
})

const record = (database: TestDatabase, n: number) =>
  database.query(`select moca.record($1)`, [JSON.stringify({ job: 'greet', payload: { n } })])

async function until(moca: Moca, accepted: number): Promise<void> {
  const count = async () => (await moca.queue.counts()).default?.accepted ?? 0
  await waitFor(async () => (await count()) === accepted, { describe: `${accepted} jobs`, timeoutMs: 15_000 })
}

test('refuses to begin without a schema, relays, tells how it is, and ends with 0 when it is asked to', async (t) => {
  const database = await postgres.createDatabase(t)
  const env = { DATABASE_URL: database.url, MOCA_NAMESPACE: 'relayed' }
  const early = await project.run(['outbox', 'start'], env)
  assert.equal(early.code, 1)
  assert.match(early.stderr, /no schema moca .*Run moca migrate/s)

  assert.equal((await project.run(['migrate'], env)).code, 0)
  await record(database, 1)
  const relay = project.start(['outbox', 'start', '--health-port', '0'], env)
  await relay.said(/Relaying the outbox to the queue/)
  await using moca = createMoca({ namespace: 'relayed', redis: { url: redis.url } })
  await until(moca, 1)
  await record(database, 2)
  await until(moca, 2)

  const [, port] = await relay.said(/"port":(\d+)/)
  const ready = await fetch(`http://127.0.0.1:${port}/readyz`)
  assert.equal(ready.status, 200)
  assert.equal(((await ready.json()) as { lanes: number }).lanes, 16)
  const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text()
  assert.match(metrics, /^moca_outbox_relayed_rows_total 2$/m)

  relay.kill('SIGTERM')
  assert.equal((await relay.ended).code, 0)
  // Its lanes are free at once, and nothing is left to be found out.
  const owners = await database.query<{ relay: string | null }>('select relay from moca.lease where relay is not null')
  assert.deepEqual(owners, [])
})

test('moca-outbox is the same, and what a killed relay left is relayed by the next', async (t) => {
  const database = await postgres.createDatabase(t)
  const env = { DATABASE_URL: database.url, MOCA_NAMESPACE: 'killed' }
  await project.run(['migrate'], env)
  const first = project.start([], env, 'cli/moca-outbox.ts')
  await first.said(/Relaying the outbox/)
  await record(database, 1)
  await using moca = createMoca({ namespace: 'killed', redis: { url: redis.url } })
  await until(moca, 1)
  first.kill('SIGKILL')
  await first.ended
  await record(database, 2)
  const second = project.start([], env, 'cli/moca-outbox.ts')
  await until(moca, 2)
  second.kill('SIGTERM')
  assert.equal((await second.ended).code, 0)
})

test('what a killed relay had is taken over at once, however long its lease', async (t) => {
  const database = await postgres.createDatabase(t)
  const config = `import { defineConfig } from 'SRC/index.ts'\nexport default defineConfig({ outbox: { lease: '1h' } })\n`
  const slow = await Project.make({ REDIS_URL: redis.url, DATABASE_URL: database.url }, { 'moca.config.ts': config })
  t.after(() => slow.remove())
  const env = { MOCA_NAMESPACE: 'taken-over' }
  await slow.run(['migrate'], env)
  const first = slow.start(['outbox', 'start'], env)
  await first.said(/Relaying the outbox/)
  await record(database, 1)
  await using moca = createMoca({ namespace: 'taken-over', redis: { url: redis.url } })
  await until(moca, 1)
  const owners = () =>
    database.query<{ relay: string }>('select distinct relay from moca.lease where relay is not null')
  const [killed] = await owners()
  const second = slow.start(['outbox', 'start'], env)
  await waitFor(async () => (await owners()).length === 2, { describe: 'the second has its share', timeoutMs: 15_000 })
  first.kill('SIGKILL')
  await first.ended
  const isOver = async () => (await owners()).every(({ relay }) => relay !== killed?.relay)
  await waitFor(isOver, { describe: 'the second has all lanes', timeoutMs: 15_000 })
  await record(database, 2)
  await until(moca, 2)
  second.kill('SIGTERM')
  assert.equal((await second.ended).code, 0)
})

test('brings the subscriptions of its apps, before any worker has started', async (t) => {
  const database = await postgres.createDatabase(t)
  const config = `import { defineApp, defineConfig, defineSubscription } from 'SRC/index.ts'
    const bills = defineSubscription({ name: 'bills', topics: ['shop.orders'] })
    const app = defineApp({ name: 'shop', subscriptions: [bills], handlers: async () => ({}) })
    export default defineConfig({ apps: [app], namespace: 'brought' })`
  const shop = await Project.make({ REDIS_URL: redis.url, DATABASE_URL: database.url }, { 'moca.config.ts': config })
  t.after(() => shop.remove())
  assert.equal((await shop.run(['migrate'])).code, 0)
  const relay = shop.start(['outbox', 'start'])
  await relay.said(/Relaying the outbox to the queue/)
  await database.query(`select moca.record('{"topic":"shop.orders","event_type":"order.paid","key":"a","data":1}')`)
  await using moca = createMoca({ namespace: 'brought', redis: { url: redis.url } })
  await until(moca, 1)
  const { jobs } = await moca.queue.list({ queue: 'default' })
  assert.deepEqual(jobs.map(({ type, key }) => [type, key]), [['event:bills', 'bills/a']]) // biome-ignore format: one comparison
  relay.kill('SIGTERM')
  assert.equal((await relay.ended).code, 0)
})

test('waits while a queue is full, holds it against nothing, and goes on in order when there is room', async (t) => {
  const database = await postgres.createDatabase(t)
  const config = `import { defineConfig } from 'SRC/index.ts'
    export default defineConfig({ queues: { default: { maxWaiting: 1 } }, namespace: 'full' })`
  const full = await Project.make({ REDIS_URL: redis.url, DATABASE_URL: database.url }, { 'moca.config.ts': config })
  t.after(() => full.remove())
  assert.equal((await full.run(['migrate'])).code, 0)
  const relay = full.start(['outbox', 'start'])
  await relay.said(/Relaying the outbox to the queue/)
  await using moca = createMoca({ namespace: 'full', redis: { url: redis.url } })
  await record(database, 1)
  await until(moca, 1)
  await record(database, 2)
  await relay.said(/Queue default is full/)
  assert.equal((await moca.queue.counts()).default?.accepted, 1)
  assert.deepEqual(await database.query('select from moca.parked_key'), [])
  const payloads = async () => (await moca.queue.list({ queue: 'default' })).jobs.map(({ payload }) => payload)
  assert.deepEqual(await payloads(), [{ n: 1 }])
  assert.equal((await full.run(['queue', 'purge', '--queue', 'default', '--force'])).code, 0)
  await until(moca, 2)
  assert.deepEqual(await payloads(), [{ n: 2 }])
  relay.kill('SIGTERM')
  assert.equal((await relay.ended).code, 0)
})

test('without PostgreSQL it says what is missing', async () => {
  const { code, stderr } = await project.run(['outbox', 'start'], { MOCA_NAMESPACE: 'none' })
  assert.equal(code, 2)
  assert.match(stderr, /needs PostgreSQL: set postgres.url, or DATABASE_URL/)
})
