import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { Project, type Running } from '../../test/support/command-line.ts'
import { type RedisServer, startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'
import { createMoca, type Moca } from '../moca.ts'
import { Connection } from '../redis/connection.ts'

const FILES = {
  'moca.config.ts': `
    import { defineApp, defineConfig, defineJob, defineSchedule } from 'SRC/index.ts'
    const tick = defineJob({ type: 'tick' })
    const each = defineSchedule({ name: 'each-second', job: tick, payload: 1, cron: '* * * * * *' })
    const yearly = defineSchedule({ name: 'yearly', job: tick, payload: 2, cron: '@yearly' })
    const app = defineApp({ name: 'shop', jobs: [tick], schedules: [each], handlers: async () => ({}) })
    export default defineConfig({ apps: [app], schedules: [yearly] })`,
}

let redis: RedisServer
let project: Project
before(async () => {
  redis = await startRedis()
  project = await Project.make({ REDIS_URL: redis.url }, FILES)
})
after(async () => {
  await project.remove()
  await redis.stop()
})

const openMoca = (namespace: string): Promise<Moca> => createMoca({ namespace, redis: { url: redis.url } }).connect()
const scheduler = (namespace: string, ...args: string[]) =>
  project.start(['scheduler', 'start', '--namespace', namespace, ...args])

/** Whoever of two says so first leads; the other stands by. */
async function startTwo(namespace: string): Promise<[leader: Running, standby: Running]> {
  const leader = scheduler(namespace)
  await leader.said(/Leading/)
  const standby = scheduler(namespace)
  await standby.said(/stands by/)
  return [leader, standby]
}

/** The instants for which a job was enqueued, oldest first. */
async function instants(moca: Moca): Promise<number[]> {
  const { jobs } = await moca.queue.list({ limit: 1_000 })
  return jobs
    .map(({ headers }) => Number(headers?.['moca-scheduled-for']))
    .filter((instant) => instant > 0)
    .toSorted((a, b) => a - b)
}

function mustBeEachSecond(found: readonly number[]): void {
  const [first = 0] = found
  assert.deepEqual(found, found.map((_, index) => first + index * 1_000)) // biome-ignore format: one comparison
}

test('SIGTERM hands over at once, SIGKILL within 10 s: no instant is lost or comes twice', async () => {
  await using moca = await openMoca('takeover')
  const [first, second] = await startTwo('takeover')
  await waitFor(async () => (await instants(moca)).length >= 2, { timeoutMs: 10_000 })
  const termedAt = performance.now()
  first.kill('SIGTERM')
  await second.said(/Leading/)
  const handedOverMs = performance.now() - termedAt
  assert.equal((await first.ended).code, 0)
  assert.ok(handedOverMs < 3_000, `${handedOverMs} ms, before the lock would have run out`)
  const third = scheduler('takeover')
  await third.said(/stands by/)
  const killedAt = performance.now()
  second.kill('SIGKILL')
  await third.said(/Leading/)
  assert.ok(performance.now() - killedAt < 10_000)
  const sinceKilled = (await instants(moca)).length
  await waitFor(async () => (await instants(moca)).length >= sinceKilled + 8, { timeoutMs: 15_000 })
  third.kill('SIGTERM')
  assert.equal((await third.ended).code, 0)
  mustBeEachSecond(await instants(moca))
})

test('a leader that is stopped past its lock and goes on fires nothing that the other has fired', async () => {
  await using moca = await openMoca('paused')
  const [first, second] = await startTwo('paused')
  await waitFor(async () => (await instants(moca)).length >= 1, { timeoutMs: 10_000 })
  first.kill('SIGSTOP')
  await second.said(/Leading/)
  first.kill('SIGCONT')
  const found = (await instants(moca)).length
  await waitFor(async () => (await instants(moca)).length >= found + 9, { timeoutMs: 20_000 })
  for (const running of [first, second]) running.kill('SIGTERM')
  await Promise.all([first.ended, second.ended])
  mustBeEachSecond(await instants(moca))
})

test('status, list-jobs, trigger, enable and disable', async () => {
  await using moca = await openMoca('commands')
  const run = async (...args: string[]) => {
    const { code, stdout } = await project.run(['scheduler', ...args, '--json', '--namespace', 'commands'])
    return { code, found: JSON.parse(stdout) }
  }
  const leader = scheduler('commands')
  await leader.said(/Leading/)
  const status = await run('status')
  assert.deepEqual([status.code, status.found.schedules, status.found.enabled], [0, 2, 2])
  assert.equal((await run('disable', 'each-second')).found.result, 'done')
  assert.equal((await run('enable', 'nobody')).code, 1)
  const { found: triggered } = await run('trigger', 'yearly')
  assert.equal((await moca.queue.inspect(triggered.id))?.status, 'waiting')
  assert.equal((await run('trigger', 'nobody')).code, 1)
  const { found } = await run('list-jobs')
  assert.deepEqual(
    found.schedules.map((one: { name: string; isEnabled: boolean; next: string[] }) => [
      one.name,
      one.isEnabled,
      one.next.length,
    ]),
    [
      ['each-second', false, 0],
      ['yearly', true, 5],
    ],
  )
  leader.kill('SIGKILL')
  await leader.ended
  await waitFor(async () => (await run('status')).code === 1, { timeoutMs: 20_000 })
})

test('moca verify adds up the fires, and names a planted one', async () => {
  await using moca = await openMoca('verified')
  const verify = async () => {
    const { code, stdout, stderr } = await project.run(['verify', '--json', '--namespace', 'verified'])
    assert.notEqual(stdout, '', stderr)
    return { code, found: JSON.parse(stdout) }
  }
  const leader = scheduler('verified')
  await waitFor(async () => (await instants(moca)).length >= 3, { timeoutMs: 15_000 })
  leader.kill('SIGTERM')
  await leader.ended
  const { code, found } = await verify()
  assert.equal(code, 0, JSON.stringify(found.findings))
  assert.ok(found.schedules.due >= 3 && found.schedules.due === found.schedules.fired, JSON.stringify(found.schedules))
  const connection = await Connection.open({ url: redis.url }, 'test')
  const key = '{moca:verified}:runs:each-second'
  const line = await connection.send<string>(['LINDEX', key, '0'])
  await connection.send(['LPUSH', key, line])
  connection.destroy()
  const after = await verify()
  assert.deepEqual([after.code, after.found.findings.map(({ kind }: { kind: string }) => kind)], [1, ['fire_doubled']])
})
