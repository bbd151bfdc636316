import assert from 'node:assert/strict'
import { test } from 'node:test'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { defineDoctype } from '../doctype/doctype.ts'
import { Capture } from '../outbox/capture.ts'
import { checkCaptures } from './captures.ts'
import type { Diagnosis } from './diagnosis.ts'

const openScene = outboxScenes()
const brief = (diagnoses: readonly Diagnosis[]) => diagnoses.map(({ severity, found }) => `${severity}: ${found}`)

test('captured tables: a partition that came later is a problem, what is captured nowhere a note', async (t) => {
  const scene = await openScene(t)
  const database = await scene.connect()
  await scene.database.query(`
    create table city (id int, zone int, primary key (id, zone)) partition by list (zone);
    create table city_1 partition of city for values in (1)`)
  const capture = new Capture(database, 'moca')
  const city = defineDoctype({ name: 'City', table: 'city', key: ['id', 'zone'] })
  assert.match(brief(await checkCaptures(capture, [city])).join(), /^note: Doctype City is not captured/)
  await capture.install(city)
  assert.deepEqual(await checkCaptures(capture, [city]), [])
  assert.match(brief(await checkCaptures(capture, [])).join(), /^note: Captured, and in no app .*: City\./)
  await scene.database.query('create table city_2 partition of city for values in (2)')
  assert.match(
    brief(await checkCaptures(capture, [city])).join(),
    /^problem: The triggers of doctype City are .*city_2/,
  )
  await capture.install(city)
  assert.deepEqual(await checkCaptures(capture, [city]), [])
})
