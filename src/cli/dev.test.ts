import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { test, type TestContext } from 'node:test'
import { Client } from 'pg'
import { Project, type Running } from '../../test/support/command-line.ts'
import { startPostgres } from '../../test/support/postgres-server.ts'
import { startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { defineJob } from '../job/job.ts'
import { createMoca } from '../moca.ts'
import { defineSchedule } from '../scheduler/schedule.ts'
import { DevFolder } from '../processes/dev/dev-folder.ts'
import { fromPg } from '../sql/pg.ts'

const greet = defineJob({ type: 'greet' })

const FILES = {
  'jobs.mjs': `
    import { defineApp, defineJob } from 'SRC/index.ts'
    export const greet = defineJob({ type: 'greet' })
    export const app = defineApp({ name: 'shop', jobs: [greet], handlers: () => import('./handlers.mjs') })`,
  'handlers.mjs': `
    import { handle } from 'SRC/index.ts'
    import { greet } from './jobs.mjs'
    export const handler = handle(greet, ({ payload, log }) => log.info({}, 'Greeted ' + payload.name))`,
  'moca.config.mjs': `
    import { defineConfig } from 'SRC/index.ts'
    import { app } from './jobs.mjs'
    export default defineConfig({ apps: [app] })`,
}

async function makeProject(t: TestContext): Promise<Project> {
  const project = await Project.make({}, FILES)
  t.after(async () => {
    await project.remove()
    // What root's PostgreSQL keeps outside of the project, known by its path.
    const folder = await DevFolder.claim(project.dir)
    await folder.empty()
    await folder.release()
    await rm(project.dir, { recursive: true })
  })
  return project
}

/** Waits until it is ready; gives the URLs that it tells. */
async function ready(running: Running): Promise<{ redis: string; postgres: string }> {
  await running.said(/Ready\. Ctrl-C ends everything/, 60_000)
  const [, redis = '', postgres = ''] = await running.said(/export REDIS_URL=(\S+) DATABASE_URL=([^\s"]+)/)
  return { redis, postgres }
}

function isOpen(url: string): Promise<boolean> {
  const { port } = new URL(url)
  return new Promise((resolve) => {
    const socket = connect(Number(port), '127.0.0.1')
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
    socket.once('connect', () => socket.destroy())
  })
}

async function query<Row extends object>(url: string, text: string): Promise<Row[]> {
  const client = new Client({ connectionString: url })
  await client.connect()
  try {
    return (await client.query<Row>(text)).rows
  } finally {
    await client.end()
  }
}

/** Records a job in a transaction, as an application does. */
async function record(url: string, name: string): Promise<void> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const moca = createMoca()
  await client.query('begin')
  await moca.outbox.enqueue(fromPg(client), greet, { name })
  await client.query('commit')
  await client.end()
  await moca.close()
}

async function enqueue(url: string, name: string): Promise<void> {
  const moca = createMoca({ redis: { url } })
  try {
    await moca.queue.enqueue(greet, { name }, name === 'later' ? { delay: '1h' } : {})
  } finally {
    await moca.close()
  }
}

test('starts servers, the schema, a relay, a scheduler and a worker; data and URLs stay, until --fresh', async (t) => {
  const project = await makeProject(t)
  const first = project.start(['dev'])
  const urls = await ready(first)
  await enqueue(urls.redis, 'Ada')
  await first.said(/Greeted Ada/)
  await record(urls.postgres, 'Grace')
  await first.said(/Greeted Grace/)
  await enqueue(urls.redis, 'later')
  const [deployment] = await query<{ namespace: string }>(urls.postgres, 'select namespace from moca.deployment')
  assert.equal(deployment?.namespace, 'default')
  await query(urls.postgres, 'create table mine ()')

  const second = await project.run(['dev'])
  assert.equal(second.code, 2)
  assert.match(second.stderr, /Another moca dev runs on the data in .*\.moca/)

  first.kill('SIGTERM')
  assert.equal((await first.ended).code, 0)
  assert.deepEqual([await isOpen(urls.redis), await isOpen(urls.postgres)], [false, false])

  const again = project.start(['dev'])
  assert.deepEqual(await ready(again), urls)
  const status = await project.run(['queue', 'status', '--json'], { REDIS_URL: urls.redis })
  const { queues } = JSON.parse(status.stdout)
  assert.partialDeepStrictEqual(
    queues.find(({ queue }: { queue: string }) => queue === 'default'),
    { delayed: 1, completed: 2 },
  )
  await query(urls.postgres, 'select from mine')
  again.kill('SIGINT')
  assert.equal((await again.ended).code, 0)

  const fresh = project.start(['dev', '--fresh'])
  const { redis, postgres } = await ready(fresh)
  const empty = await project.run(['queue', 'status', '--json'], { REDIS_URL: redis })
  assert.ok(JSON.parse(empty.stdout).queues.every(({ accepted }: { accepted: number }) => accepted === 0))
  await assert.rejects(query(postgres, 'select from mine'), /does not exist/)
  const moca = createMoca({ redis: { url: redis } })
  const schedule = defineSchedule({ name: 'each-second', job: greet, payload: { name: 'Hedy' }, every: '1s' })
  await moca.scheduler.upsert(schedule)
  await moca.close()
  await fresh.said(/Greeted Hedy/)
  fresh.kill('SIGTERM')
  await fresh.ended
})

test('its servers end when it is killed, and the next one goes on with what was written', async (t) => {
  const project = await makeProject(t)
  const first = project.start(['dev'])
  const urls = await ready(first)
  await query(urls.postgres, 'create table mine ()')
  first.kill('SIGKILL')
  await first.ended
  const next = project.start(['dev'])
  const { postgres } = await ready(next)
  await query(postgres, 'select from mine')
  next.kill('SIGKILL')
  await waitFor(async () => !(await isOpen(urls.redis)) && !(await isOpen(postgres)), {
    describe: 'both servers to end',
    timeoutMs: 15_000,
  })
})

test('works with the servers that are named, and starts none', async (t) => {
  const project = await makeProject(t)
  const [redis, server] = await Promise.all([startRedis(), startPostgres()])
  t.after(() => Promise.all([redis.stop(), server.stop()]))
  const database = await server.createDatabase()
  const running = project.start(['dev'], { REDIS_URL: redis.url, DATABASE_URL: database.url })
  await running.said(/Ready\. Ctrl-C/, 60_000)
  assert.match(running.output, /Using the Redis of the configuration/)
  assert.match(running.output, /Using the PostgreSQL of the configuration/)
  assert.doesNotMatch(running.output, /export/)
  assert.equal(existsSync(`${project.dir}/.moca`), false)
  assert.equal((await database.query('select from moca.deployment')).length, 1)
  running.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
  assert.equal(await redis.cli(['PING']), 'PONG')
})

test('starts a PostgreSQL beside a Redis that is named, and uses both', async (t) => {
  const project = await makeProject(t)
  const redis = await startRedis()
  t.after(() => redis.stop())
  const running = project.start(['dev'], { REDIS_URL: redis.url })
  await running.said(/Ready\. Ctrl-C/, 60_000)
  const [, postgres = ''] = await running.said(/export DATABASE_URL=([^\s"]+)/)
  assert.match(running.output, /Using the Redis of the configuration/)
  assert.doesNotMatch(running.output, /Started a Redis|REDIS_URL=/)
  await record(postgres, 'Ada')
  await running.said(/Greeted Ada/)
  running.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
  assert.deepEqual([await isOpen(redis.url), await isOpen(postgres)], [true, false])
})

test('starts a Redis beside a PostgreSQL that is named, and uses both', async (t) => {
  const project = await makeProject(t)
  const server = await startPostgres()
  t.after(() => server.stop())
  const database = await server.createDatabase()
  const running = project.start(['dev'], { DATABASE_URL: database.url })
  await running.said(/Ready\. Ctrl-C/, 60_000)
  const [, redis = ''] = await running.said(/export REDIS_URL=([^\s"]+)/)
  assert.match(running.output, /Using the PostgreSQL of the configuration/)
  assert.doesNotMatch(running.output, /Started a PostgreSQL|DATABASE_URL=/)
  await record(database.url, 'Ada')
  await running.said(/Greeted Ada/)
  running.kill('SIGTERM')
  assert.equal((await running.ended).code, 0)
  assert.equal(await isOpen(redis), false)
  assert.equal((await database.query('select from moca.deployment')).length, 1)
})

test('--run runs a command with everything running, also beside another moca dev, and ends as it does', async (t) => {
  const project = await makeProject(t)
  const alone = await project.run(['dev', '--quiet', '--run', 'echo "URLs: $REDIS_URL $DATABASE_URL"'])
  assert.equal(alone.code, 0, alone.stderr)
  const [, redis = '', postgres = ''] = /URLs: (redis:\S+) (postgres:\S+)/.exec(alone.stdout) ?? []
  assert.deepEqual([await isOpen(redis), await isOpen(postgres)], [false, false])

  const other = project.start(['dev'])
  const urls = await ready(other)
  const beside = await project.run(['dev', '--run', 'echo "URLs: $REDIS_URL $DATABASE_URL"; exit 7'])
  assert.deepEqual([beside.code, beside.stdout], [1, `URLs: ${urls.redis} ${urls.postgres}\n`])
  assert.ok(await isOpen(urls.redis))
  other.kill('SIGTERM')
  assert.equal((await other.ended).code, 0)
})

test('without redis-server it says how to get one', async (t) => {
  const project = await makeProject(t)
  const { code, stderr } = await project.run(['dev'], { PATH: '/nowhere' })
  assert.equal(code, 2)
  assert.match(stderr, /There is no redis-server on the PATH\. Install it with: (brew install|sudo apt-get install)/)
})
