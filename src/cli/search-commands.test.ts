import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { startRedis } from '../../test/support/redis-server.ts'
import { waitFor } from '../../test/support/wait-for.ts'

const openScene = outboxScenes()
let project: Project
before(async () => {
  project = await Project.make(
    { MOCA_NAMESPACE: 'test' },
    {
      'moca.config.ts': `
        import { defineApp, defineDoctype } from 'SRC/index.ts'
        const City = defineDoctype({
          name: 'City', table: 'city', key: 'id',
          search: {
            searchable: ['name'], filterable: ['country', 'population'], sortable: ['population'], facets: ['country'],
            project: (rows) => rows.map(({ name, country, population }) => {
              if (name === 'poison') throw new Error('no such city')
              return { name, country, population }
            }),
          },
        })
        export default { apps: [defineApp({ name: 'geo', doctypes: [City], handlers: async () => ({}) })] }`,
    },
  )
})
after(() => project.remove())

interface VerifyResult {
  readonly search: unknown
  readonly findings: readonly { readonly kind: string; readonly index?: string; readonly docname?: string }[]
}

async function openCities(t: TestContext) {
  const { database } = await openScene(t)
  await database.query(`
    create table city (id integer primary key, name text, country text, population integer);
    insert into city values (1, 'Paris', 'FR', 2100000), (2, 'Parisot', 'FR', 500), (3, 'Paris', 'US', 25000), (4, 'Bern', 'CH', 130000)`)
  const env = { DATABASE_URL: database.url }
  const run = (...args: string[]) => project.run(['search', ...args], env)
  const start = (...args: string[]) => project.start(['search', ...args], env)
  assert.equal((await project.run(['outbox', 'capture', 'City'], env)).code, 0)
  return { database, run, start, env }
}

test('builds an index, finds in it, keeps it, and says how it stands', async (t) => {
  const { database, run, start, env } = await openCities(t)
  const missing = await run('query', 'paris')
  assert.equal(missing.code, 2)
  assert.match(missing.stderr, /There is no index City yet/)
  assert.match((await run('status')).stdout, /City +not built/)

  const planned = await run('rebuild', '--dry-run')
  assert.equal(planned.stdout, 'City: 4 rows would be read; there is no index yet.\n')
  const built = await run('rebuild', 'City')
  assert.equal(built.code, 0, built.stderr)
  assert.match(built.stdout, /^City: 4 rows in /)

  const text = await run('query', 'pari')
  assert.match(text.stdout, /^City: 3 found in [\d.]+ ms$/m)
  assert.match(text.stdout, /^2 +Parisot +FR +500$/m)
  const filters = ['--filter', 'population>=1000', 'country=FR,US', '--sort', 'population:desc', '--facet', 'country']
  const found = await run('query', 'paris', '--index', 'City', ...filters, '--json')
  assert.equal(found.code, 0, found.stderr)
  const [result] = JSON.parse(found.stdout).results
  assert.deepEqual(
    result.hits.map(({ id }: { id: string }) => id),
    ['1', '3'],
  )
  assert.deepEqual(result.hits[0].highlights, { name: [{ text: 'Paris', isMatch: true }] })
  assert.deepEqual(result.facets.country.length, 2)

  const sync = start('sync')
  await sync.said(/Keeping search indexes/)
  await database.query("update city set name = 'Lutetia' where id = 1")
  const isFound = async () => JSON.parse((await run('query', 'lutetia', '--json')).stdout).results[0].total === 1
  await waitFor(isFound, { timeoutMs: 15_000, describe: 'Lutetia to be found' })
  const status = JSON.parse((await run('status', '--json')).stdout).indexes[0]
  assert.deepEqual([status.live.documents, status.live.waiting, status.live.isOutdated], [4, 0, false])
  assert.match(status.live.owner, new RegExp(`:${sync.pid}:`))
  sync.kill('SIGTERM')
  assert.equal((await sync.ended).code, 0)
  assert.match((await run('status')).stdout, /nobody keeps it/)
  const verified = await project.run(['search', 'verify'], env)
  assert.equal(verified.code, 0, verified.stdout)
})

test('verify names what is missing, stale and orphaned, and repairs it', async (t) => {
  const { database, run, start } = await openCities(t)
  assert.equal((await run('rebuild')).code, 0)
  const [row] = await database.query<{ id: number }>('select id from moca.search_generation')
  const damage = () =>
    database.query(`
      delete from moca.search_document_${row?.id} where id = '2';
      update moca.search_document_${row?.id} set rev = 'other' where id = '3';
      update moca.search_document_${row?.id} set id = '99' where id = '4'`)
  await damage()
  const sync = start('sync')
  await sync.said(/Keeping search indexes/)
  const differs = await run('verify', '--json')
  assert.equal(differs.code, 1)
  const [account] = JSON.parse(differs.stdout).indexes
  assert.deepEqual(
    [account.documents, account.missing.toSorted(), account.stale, account.orphaned],
    [4, ['2', '4'], ['3'], ['99']],
  )
  const text = await run('verify', 'City')
  assert.match(text.stdout, /City: orphaned +99/)
  assert.match(text.stdout, /--repair/)
  const repaired = await run('verify', '--repair')
  assert.equal(repaired.code, 0, repaired.stdout)
  assert.match(repaired.stdout, /4 documents were indexed again, and are as their rows are/)
  await damage()
  const again = await run('verify', '--repair', '--json')
  assert.deepEqual(
    [again.code, JSON.parse(again.stdout).ok, JSON.parse(again.stdout).indexes[0].repairing],
    [0, true, 4],
  )
  assert.equal((await run('verify')).code, 0)
  sync.kill('SIGTERM')
  await sync.ended
})

test('a document that cannot be indexed is named, does not hold up a rebuild that allows it, and is tried again', async (t) => {
  const { database, run, start } = await openCities(t)
  await database.query("insert into city values (5, 'poison')")
  const refused = await run('rebuild')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /1 documents of City cannot be indexed/)
  assert.equal((await run('rebuild', '--allow-failed', '1')).code, 0)
  assert.match((await run('status')).stdout, /City 5: no such city/)
  await database.query("update city set name = 'cured' where id = 5")
  const sync = start('sync')
  await waitFor(async () => JSON.parse((await run('query', 'cured', '--json')).stdout).results[0].total === 1, {
    timeoutMs: 15_000,
    describe: 'the cured one to be found',
  })
  assert.equal((await run('retry', 'City')).code, 1)
  sync.kill('SIGTERM')
  await sync.ended
})

test('queue status shows what indexes are behind as search.sync, which is no queue of jobs', async (t) => {
  const redis = await startRedis()
  t.after(() => redis.stop())
  const { database, run, env } = await openCities(t)
  const queue = (...args: string[]) => project.run(['queue', ...args], { ...env, REDIS_URL: redis.url })
  await database.query('update city set population = 0')
  assert.equal((await run('rebuild')).code, 0)
  await database.query("update city set name = 'x'; insert into city values (9, 'y')")
  const status = JSON.parse((await queue('status', '--json')).stdout)
  const { waiting, parked, indexedLastMinute, oldestWaitingMs } = status['search.sync']
  assert.deepEqual([waiting, parked, indexedLastMinute], [5, 0, 0])
  assert.ok(oldestWaitingMs >= 0)
  assert.match((await queue('status')).stdout, /^search\.sync +5 /m)
  const whole = await project.run(['status'], { ...env, REDIS_URL: redis.url })
  assert.match(whole.stdout, /^Search +City: 4 documents, 5 behind/m)
  const refused = await queue('purge', '--queue', 'search.sync', '--force')
  assert.equal(refused.code, 1)
  assert.match(refused.stderr, /search\.sync is no queue of jobs.*\n.*\n?.*moca search status/)
})

test('moca verify accounts for indexes, too: an index that is not built, and documents that differ', async (t) => {
  const redis = await startRedis()
  t.after(() => redis.stop())
  const { database, run, env } = await openCities(t)
  const verify = async (...args: string[]) => {
    const { code, stdout } = await project.run(['verify', ...args], { ...env, REDIS_URL: redis.url })
    return { code, stdout, result: (args.includes('--json') ? JSON.parse(stdout) : {}) as VerifyResult }
  }
  const missing = await verify('--json')
  assert.deepEqual(
    [missing.code, missing.result.search, missing.result.findings.map(({ kind, index }) => [kind, index])],
    [1, [], [['index_not_built', 'City']]],
  )
  assert.equal((await run('rebuild')).code, 0)
  const [row] = await database.query<{ id: number }>('select id from moca.search_generation')
  const fine = await verify('--json')
  assert.deepEqual(
    [fine.code, fine.result.search],
    [0, [{ index: 'City', documents: 4, missing: 0, stale: 0, orphaned: 0, parked: 0 }]],
  )
  await database.query(`
    delete from moca.search_document_${row?.id} where id = '2';
    update moca.search_document_${row?.id} set rev = 'other' where id = '3';
    insert into moca.search_document_${row?.id} select '99', rev, text_rev, keys, fields
    from moca.search_document_${row?.id} where id = '4'`)
  const differs = await verify('--json')
  assert.equal(differs.code, 1)
  assert.deepEqual(
    differs.result.findings.map(({ kind, index, docname }) => [kind, index, docname]),
    [
      ['document_missing', 'City', '2'],
      ['document_stale', 'City', '3'],
      ['document_orphaned', 'City', '99'],
    ],
  )
  const text = await verify()
  assert.match(text.stdout, /City +differs +4 +1 +1 +1 +0/)
  assert.match(text.stdout, /document_missing +index City, document 2\n/)
})

test('says what is wrong with a name or a condition, and what to do', async (t) => {
  const { run } = await openCities(t)
  const unknown = await run('rebuild', 'Town')
  assert.deepEqual([unknown.code, unknown.stdout], [1, ''])
  assert.match(unknown.stderr, /There is no search index Town; known are City/)
  assert.equal((await run('rebuild')).code, 0)
  for (const [args, message] of [
    [['--filter', 'country'], /is no condition/],
    [['--filter', 'name=x'], /"name" is no field of City for that; declared are country, population/],
    [['--sort', 'name'], /sort: "name"/],
    [['--limit', '-1'], /--limit must be/],
  ] as const) {
    const { code, stderr } = await run('query', 'x', ...args)
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, message)
  }
})

test('an index whose doctype is no more is told, and removed', async (t) => {
  const { database, run, env } = await openCities(t)
  assert.equal((await run('rebuild', 'City')).code, 0)
  const kept = await run('remove', 'City', '--force')
  assert.equal(kept.code, 2)
  assert.match(kept.stderr, /Take search out of its definition/)
  await database.query("update moca.search_generation set index_name = 'Town'")
  for (const table of ['index_lease', 'index_batch', 'index_settled'])
    await database.query(`update moca.${table} set index_name = replace(index_name, 'City/', 'Town/')`)
  assert.match((await run('status')).stdout, /Town: no doctype of the apps has this index.*moca search remove Town/)
  assert.deepEqual(JSON.parse((await run('status', '--json')).stdout).unclaimed, ['Town'])
  assert.match((await project.run(['doctor'], env)).stdout, /No doctype of the apps has search index Town/)
  assert.match((await run('remove', 'Town')).stderr, /Add --force/)
  assert.equal((await run('remove', 'Town', '--force')).stdout, 'Removed search index Town.\n')
  assert.equal((await run('remove', 'Town', '--force')).code, 1)
  assert.deepEqual(await database.query('select index_name from moca.index_batch'), [])
})
