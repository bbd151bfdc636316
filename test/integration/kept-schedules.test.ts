import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import { createMoca, defineJob, defineSchedule, type Moca, OptionError, SchemaError } from '../../src/index.ts'
import { Project } from '../support/command-line.ts'
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts'
import { type RedisServer, startRedis } from '../support/redis-server.ts'
import { waitFor } from '../support/wait-for.ts'

// docs/decisions/0054-schedules-outlive-redis.md

let redis: RedisServer
let postgres: PostgresServer
before(async () => {
  ;[redis, postgres] = await Promise.all([startRedis(), startPostgres()])
})
after(async () => {
  await Promise.all([redis.stop(), postgres.stop()])
})

const tick = defineJob({ type: 'tick' })
const yearly = (name: string, n = 1) => defineSchedule({ name, job: tick, payload: { n }, cron: '@yearly' })
const CONFIG = `import { defineConfig, defineJob, defineSchedule } from 'SRC/index.ts'
const job = defineJob({ type: 'tick' })
export default defineConfig({ schedules: [defineSchedule({ name: 'configured', job, payload: {}, cron: '@yearly' })] })`

let namespaces = 0

async function openScene(t: TestContext) {
  const namespace = `kept-${++namespaces}`
  const database = await postgres.createDatabase(t)
  const env = { REDIS_URL: redis.url, DATABASE_URL: database.url, MOCA_NAMESPACE: namespace }
  const project = await Project.make(env, { 'moca.config.ts': CONFIG })
  t.after(() => project.remove())
  assert.equal((await project.run(['migrate'])).code, 0)
  const open = (withPostgres = true): Moca => {
    const moca = createMoca({
      namespace,
      redis: { url: redis.url },
      ...(withPostgres && { postgres: { url: database.url } }),
    })
    t.after(() => moca.close())
    return moca
  }
  const startScheduler = async () => {
    const scheduler = project.start(['scheduler', 'start'])
    await scheduler.said(/Scheduling: fires while it leads/)
    return scheduler
  }
  const keys = async () => (await redis.cli(['KEYS', `{moca:${namespace}}:*`])).split('\n').filter(Boolean)
  return { open, database, startScheduler, forget: async () => redis.cli(['DEL', ...(await keys())]) }
}

/** name -> whether it is enabled. */
const state = async (moca: Moca) =>
  Object.fromEntries((await moca.scheduler.list()).map(({ name, isEnabled }) => [name, isEnabled]))

const becomes = (moca: Moca, wanted: Record<string, boolean>) =>
  waitFor(async () => isDeepStrictEqual(await state(moca), wanted), {
    timeoutMs: 15_000,
    describe: `schedules to be ${JSON.stringify(wanted)}`,
  })

test('what was defined, disabled and removed at run time is restored when Redis forgets it', async (t) => {
  const scene = await openScene(t)
  const moca = scene.open()
  await scene.startScheduler()
  for (const name of ['on', 'off', 'gone']) assert.equal(await moca.scheduler.upsert(yearly(name)), 'changed')
  assert.equal(await moca.scheduler.disable('off'), 'done')
  assert.equal(await moca.scheduler.disable('configured'), 'done')
  assert.equal(await moca.scheduler.remove('gone'), true)
  await scene.forget()
  await becomes(moca, { on: true, off: false, configured: false })
  assert.equal(await moca.scheduler.enable('off'), 'done')
  await scene.forget()
  await becomes(moca, { on: true, off: true, configured: false })
})

test('an older Redis does not bring back what was removed, and what it alone knows is kept', async (t) => {
  const scene = await openScene(t)
  const moca = scene.open()
  await moca.scheduler.upsert(yearly('gone'))
  await moca.scheduler.remove('gone')
  // As a process without PostgreSQL, or an older file, leaves it.
  const without = scene.open(false)
  for (const name of ['gone', 'older', 'older-off']) await without.scheduler.upsert(yearly(name))
  await without.scheduler.disable('older-off')
  await scene.startScheduler()
  const wanted = { older: true, 'older-off': false, configured: true }
  await becomes(moca, wanted)
  await scene.forget()
  await becomes(moca, wanted)
})

test('what Redis refuses is not kept, and without a schema nothing is changed', async (t) => {
  const scene = await openScene(t)
  const moca = scene.open()
  const scheduler = await scene.startScheduler()
  await assert.rejects(moca.scheduler.upsert(yearly('configured')), OptionError)
  await assert.rejects(moca.scheduler.remove('configured'), OptionError)
  assert.deepEqual(await scene.database.query('select from moca.schedule'), [])
  scheduler.kill('SIGTERM')
  assert.equal((await scheduler.ended).code, 0)
  await scene.database.query('drop table moca.schedule')
  await assert.rejects(moca.scheduler.upsert(yearly('on')), SchemaError)
  assert.deepEqual(await state(moca), { configured: true })
})
