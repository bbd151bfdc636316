import assert from 'node:assert/strict'
import { after, before, test, type TestContext } from 'node:test'
import { Project } from '../../test/support/command-line.ts'
import { outboxScenes } from '../../test/support/outbox-scene.ts'

const openScene = outboxScenes()
let project: Project
before(async () => {
  project = await Project.make(
    { MOCA_NAMESPACE: 'test' },
    {
      'moca.config.ts': `
        import { defineApp, defineDoctype } from 'SRC/index.ts'
        const City = defineDoctype({ name: 'City', table: 'city', key: 'id' })
        const Street = defineDoctype({ name: 'Street', table: 'street', key: 'id' })
        export default { apps: [defineApp({ name: 'geo', doctypes: [City, Street], handlers: async () => ({}) })] }`,
    },
  )
})
after(() => project.remove())

async function openTables(t: TestContext) {
  const { database } = await openScene(t)
  await database.query('create table city (id integer primary key); create table street (id integer primary key)')
  const run = (...args: string[]) => project.run(['outbox', 'capture', ...args], { DATABASE_URL: database.url })
  const countEvents = async (statement: string) => {
    await database.query('truncate moca.outbox')
    await database.query(statement)
    return (await database.query('select from moca.outbox')).length
  }
  return { database, run, countEvents }
}

test('installs, shows and removes the triggers of a doctype', async (t) => {
  const { run, countEvents } = await openTables(t)
  const missing = await run('City', '--show')
  assert.deepEqual([missing.code, missing.stdout], [1, 'City: missing (public.city)\n  public.city: missing\n'])
  const installed = await run('City')
  assert.deepEqual([installed.code, installed.stdout], [0, 'Installed the capture of City (public.city).\n'])
  assert.equal(await countEvents('insert into city values (1), (2)'), 2)
  assert.match((await run('City')).stdout, /^The capture of City \(public\.city\) is current: nothing to do\.$/m)
  const shown = await run('--all', '--show', '--json')
  assert.equal(shown.code, 1)
  const { captures } = JSON.parse(shown.stdout)
  assert.deepEqual(
    captures.map(({ doctype, status }: { doctype: string; status: string }) => `${doctype} ${status}`),
    ['City current', 'Street missing'],
  )
  const asked = await run('City', '--remove')
  assert.deepEqual([asked.code, asked.stdout], [2, ''])
  assert.match(asked.stderr, /no terminal to ask/)
  const removed = await run('City', '--remove', '--force', '--json')
  assert.deepEqual(JSON.parse(removed.stdout), { doctype: 'City', did: 'removed', tables: ['public.city'] })
  assert.equal(await countEvents('delete from city'), 0)
})

test('installs those of all doctypes of the apps', async (t) => {
  const { run, countEvents } = await openTables(t)
  const { code, stdout } = await run('--all')
  assert.equal(code, 0)
  assert.equal(
    stdout,
    'Installed the capture of City (public.city).\nInstalled the capture of Street (public.street).\n',
  )
  assert.equal(await countEvents('insert into city values (1); insert into street values (1)'), 2)
  assert.equal((await run('--all', '--show')).code, 0)
})

test('says what is wrong with a call, a name or a table, and what to do', async (t) => {
  const { database, run } = await openTables(t)
  for (const args of [[], ['City', '--all'], ['City', '--show', '--remove'], ['--all', '--remove']]) {
    const { code, stderr } = await run(...args)
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, /Say which doctype/)
  }
  const unknown = await run('Town')
  assert.deepEqual([unknown.code, unknown.stdout], [1, ''])
  assert.match(unknown.stderr, /There is no doctype Town; known are City, Street/)
  const nothing = await run('City', '--remove', '--force')
  assert.equal(nothing.code, 1)
  assert.match(nothing.stderr, /City is not captured/)
  await database.query('alter table city drop constraint city_pkey')
  const unfit = await run('City')
  assert.equal(unfit.code, 2)
  assert.match(unfit.stderr, /no unique index of public\.city says that its key is one\. Make it the primary key/)
})
