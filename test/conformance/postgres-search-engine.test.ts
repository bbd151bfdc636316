import { test } from 'node:test'
import { Database } from '../../src/postgres/database.ts'
import { PostgresEngine } from '../../src/search/engines/postgres/postgres-engine.ts'
import { outboxScenes } from '../support/outbox-scene.ts'
import { ENGINE_CHECKS, makeDocument } from './search-engine.ts'

/** More values than go in a vector (1 MB). */
function tooLarge(id: string) {
  const values = Array.from({ length: 1_000 }, (_, n) => `${n}${'x'.repeat(390)}`)
  return makeDocument(id, { country: values, tags: values, population: values })
}

const openScene = outboxScenes()

for (const check of ENGINE_CHECKS) {
  test(`PostgreSQL: ${check.name}`, async (t) => {
    const scene = await openScene(t)
    const database = new Database({ url: scene.database.url, name: 'moca:test' })
    t.after(() => database.close())
    const engine = new PostgresEngine({ database, schema: 'moca' })
    await check.run({
      engine,
      limitMs: 5_000,
      badDocument: tooLarge,
    })
  })
}
