import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { Database } from '../postgres/database.ts'
import { Standstills } from './standstills.ts'

const openScene = outboxScenes()

test('a standstill keeps when it began and why it was last, and is none any more when nobody has tried for a minute', async (t) => {
  const scene = await openScene(t)
  const database = new Database({ url: scene.database.url, name: 'moca:test' })
  t.after(() => database.close())
  const standstills = new Standstills(database, 'moca')
  await standstills.note('City', 'first')
  const first = await standstills.find('City')
  await standstills.note('City', 'second')
  const second = await standstills.find('City')
  assert.equal(second?.reason, 'second')
  assert.deepEqual(second.since, first?.since)
  assert.equal(await standstills.find('Country'), undefined)

  await database.query(
    "update moca.search_standstill set since = since - interval '61 s', tried_at = tried_at - interval '61 s'",
  )
  assert.equal(await standstills.find('City'), undefined)
  await standstills.note('City', 'third')
  const third = await standstills.find('City')
  assert.ok(third && third.since >= second.triedAt, 'it begins anew')

  await standstills.end('City')
  assert.equal(await standstills.find('City'), undefined)
})
