import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Project, type Running } from '../../test/support/command-line.ts'
import { type PostgresServer, startPostgres } from '../../test/support/postgres-server.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import type { DrillAccount } from '../verify/drill.ts'

// `moca verify --drill` as a process, and the processes that canaries pass through.

let redis: RedisServer
let postgres: PostgresServer
let project: Project
before(async () => {
  ;[redis, postgres] = await Promise.all([startRedis(), startPostgres()])
  project = await Project.make(
    { REDIS_URL: redis.url },
    {
      'moca.config.ts': `
        import { defineApp, defineDoctype, defineJob, handle } from 'SRC/index.ts'
        const City = defineDoctype({ name: 'City', table: 'city', key: 'id', search: { searchable: ['name'] } })
        const Country = defineDoctype({ name: 'Country', table: 'country', key: 'code', search: { searchable: ['name'] } })
        const greet = defineJob({ type: 'greet' })
        // A hook that would not let anything pass.
        const refuse = () => { throw new Error('refused by a hook') }
        export default {
          queues: { critical: {}, default: {} },
          hooks: { enqueue: refuse, publish: refuse, attempt: refuse },
          apps: [defineApp({ name: 'geo', doctypes: [City, Country], jobs: [greet], handlers: async () => ({ greet: handle(greet, () => {}) }) })],
        }`,
    },
  )
})
after(async () => {
  await project.remove()
  await Promise.all([redis.stop(), postgres.stop()])
})

type Drill = DrillAccount & { readonly ok: boolean }

async function end(running: Running): Promise<void> {
  running.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
}

test('canaries come through lanes, queues and indexes, and what does not let them through is named', async (t) => {
  const database = await postgres.createDatabase(t)
  const env = { DATABASE_URL: database.url, MOCA_NAMESPACE: 'drilled' }
  await database.query(`
    create table city (id integer primary key, name text); insert into city values (1, 'Paris'), (2, 'Bern');
    create table country (code text primary key, name text)`)
  assert.equal((await project.run(['migrate'], env)).code, 0)
  for (const doctype of ['City', 'Country']) {
    assert.equal((await project.run(['outbox', 'capture', doctype], env)).code, 0)
  }
  const relay = project.start(['outbox', 'start'], env)
  const worker = project.start(['worker', 'start'], env)
  const drill = async (...args: string[]) => {
    const { code, stdout, stderr } = await project.run(['verify', '--drill', ...args, '--json'], env)
    assert.match(stdout, /^\{.*\}\n$/, stderr)
    return { code, ...(JSON.parse(stdout) as Drill) }
  }
  await Promise.all([
    worker.said(/The worker works/),
    relay.said(/The search index is built.*The search index is built/s),
  ])

  const fine = await drill()
  assert.deepEqual([fine.code, fine.ok, fine.findings], [0, true, []])
  const events = fine.canaries.filter(({ kind }) => kind === 'event')
  const lanes = events.map(({ lane }) => lane).toSorted((a, b) => Number(a) - Number(b))
  assert.deepEqual(lanes, [...Array(16).keys()])
  const jobs = fine.canaries.filter(({ kind }) => kind === 'job')
  assert.deepEqual(jobs.map(({ queue }) => queue).toSorted(), ['critical', 'default', 'long'])
  for (const { relayedMs, handledMs } of fine.canaries) assert.ok(Number(relayedMs) <= Number(handledMs))
  assert.deepEqual(
    fine.indexes.map(({ index, docname, indexedMs }) => [index, docname, indexedMs !== undefined]),
    [
      ['City', '1', true],
      ['Country', undefined, false],
    ],
  )
  assert.ok(fine.indexes[0]?.keeper?.includes(`:${relay.pid}:`))
  // The doctor has nothing to say of its subscription, and everything still adds up.
  assert.doesNotMatch((await project.run(['doctor'], env)).stdout, /moca\.canary/)
  assert.equal((await project.run(['verify'], env)).code, 0)
  const text = await project.run(['verify', '--drill'], env)
  assert.match(text.stdout, /^event +16 lanes, queue default +\d+ ms/m)
  assert.match(text.stdout, /^index +index City, document 1, by .* ms$/m)
  assert.match(text.stdout, /All canaries came through\.\n$/)

  await end(worker)
  const unhandled = await drill('--within', '1s')
  const kinds = (list: Drill['findings']) => [...new Set(list.map(({ kind, queue }) => `${kind} ${queue}`))].toSorted()
  assert.equal(unhandled.code, 1)
  assert.deepEqual(kinds(unhandled.findings), [
    'canary_not_handled critical',
    'canary_not_handled default',
    'canary_not_handled long',
  ])
  assert.match(unhandled.findings[0]?.found ?? '', /^waiting \(/)

  await end(relay)
  const unrelayed = await drill('--within', '1s')
  assert.equal(unrelayed.code, 1)
  const lost = Map.groupBy(unrelayed.findings, ({ kind }) => kind)
  assert.deepEqual(lost.get('canary_not_relayed')?.length, 19)
  assert.deepEqual(
    lost.get('canary_not_indexed')?.map(({ index, found }) => [index, found]),
    [
      ['City', 'nobody keeps the index'],
      ['Country', 'nobody'],
    ],
  )
})

test('with Redis alone they go through the queues', async () => {
  const env = { MOCA_NAMESPACE: 'alone' }
  const worker = project.start(['worker', 'start', '--queues', 'default'], env)
  await worker.said(/The worker works/)
  const { code, stdout } = await project.run(['verify', '--drill', '--within', '1s'], env)
  assert.equal(code, 1)
  assert.match(stdout, /^event +queue default +- +\d+ ms$/m)
  assert.match(stdout, /^job +queue critical +- +never$/m)
  assert.match(stdout, /^canary_not_handled {2}queue critical\n[^]*worker start --queues critical/m)
  await end(worker)
})

test('wrong use is told', async () => {
  const env = { MOCA_NAMESPACE: 'alone' }
  const queued = await project.run(['verify', '--drill', '--queue', 'default'], env)
  assert.equal(queued.code, 2)
  assert.match(queued.stderr, /--queue does not go with it/)
  const within = await project.run(['verify', '--within', '5s'], env)
  assert.equal(within.code, 2)
  assert.match(within.stderr, /--within is for --drill/)
})
