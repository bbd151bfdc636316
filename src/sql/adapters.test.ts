import assert from 'node:assert/strict'
import { test } from 'node:test'
import { drizzle as drizzleOverPg } from 'drizzle-orm/node-postgres'
import { drizzle as drizzleOverPostgres } from 'drizzle-orm/postgres-js'
import knexOf from 'knex'
import { Kysely, PostgresDialect } from 'kysely'
import { Client, Pool } from 'pg'
import postgres from 'postgres'
import { DataSource } from 'typeorm'
import { connect as connectPrisma } from '../../examples/outbox-prisma/client.ts'
import { outboxScenes } from '../../test/support/outbox-scene.ts'
import { OptionError } from '../errors.ts'
import { Outbox } from '../outbox/outbox.ts'
import type { SqlExecutor } from '../outbox/sql-executor.ts'
import { fromDrizzle } from './drizzle.ts'
import { fromKnex } from './knex.ts'
import { fromKysely } from './kysely.ts'
import { fromPg } from './pg.ts'
import { fromPostgres } from './postgres.ts'
import { fromPrisma } from './prisma.ts'
import { fromTypeorm } from './typeorm.ts'

const openScene = outboxScenes()

/** A database of one library, opened. */
interface Library {
  /** Runs `work` in a transaction that commits, unless it rejects. */
  transaction(work: (tx: SqlExecutor) => Promise<unknown>): Promise<unknown>
  /** Gives the adapter what is no transaction. */
  outside(): void
  close(): Promise<unknown>
}

const LIBRARIES: Record<string, (url: string) => Promise<Library>> = {
  pg: async (url) => {
    const pool = new Pool({ connectionString: url, max: 1 })
    return {
      transaction: async (work) => {
        const client = await pool.connect()
        try {
          await client.query('begin')
          await work(fromPg(client))
          await client.query('commit')
        } catch (error) {
          await client.query('rollback')
          throw error
        } finally {
          client.release()
        }
      },
      outside: () => fromPg(pool),
      close: () => pool.end(),
    }
  },
  postgres: async (url) => {
    const sql = postgres(url, { max: 1 })
    return {
      transaction: (work) => sql.begin((tx) => work(fromPostgres(tx))),
      outside: () => fromPostgres(sql),
      close: () => sql.end(),
    }
  },
  kysely: async (url) => {
    const db = new Kysely<{ shop_order: { id: string } }>({
      dialect: new PostgresDialect({ pool: new Pool({ connectionString: url, max: 1 }) }),
    })
    return {
      transaction: (work) => db.transaction().execute((trx) => work(fromKysely(trx))),
      outside: () => fromKysely(db),
      close: () => db.destroy(),
    }
  },
  'drizzle over pg': async (url) => {
    const pool = new Pool({ connectionString: url, max: 1 })
    const db = drizzleOverPg(pool)
    return {
      transaction: (work) => db.transaction((tx) => work(fromDrizzle(tx))),
      outside: () => fromDrizzle(db),
      close: () => pool.end(),
    }
  },
  'drizzle over postgres': async (url) => {
    const sql = postgres(url, { max: 1 })
    const db = drizzleOverPostgres(sql)
    return {
      transaction: (work) => db.transaction((tx) => work(fromDrizzle(tx))),
      outside: () => fromDrizzle(db),
      close: () => sql.end(),
    }
  },
  prisma: async (url) => {
    const prisma = connectPrisma(url)
    return {
      transaction: (work) => prisma.$transaction((tx: Parameters<typeof fromPrisma>[0]) => work(fromPrisma(tx))),
      outside: () => fromPrisma(prisma),
      close: () => prisma.$disconnect(),
    }
  },
  knex: async (url) => {
    const knex = knexOf({ client: 'pg', connection: url, pool: { min: 0, max: 1 } })
    return {
      transaction: (work) => knex.transaction((trx) => work(fromKnex(trx))),
      outside: () => fromKnex(knex),
      close: () => knex.destroy(),
    }
  },
  typeorm: async (url) => {
    const source = await new DataSource({ type: 'postgres', url, poolSize: 1 }).initialize()
    return {
      transaction: (work) => source.transaction((manager) => work(fromTypeorm(manager))),
      outside: () => fromTypeorm(source.manager),
      close: () => source.destroy(),
    }
  },
  'typeorm by a query runner': async (url) => {
    const source = await new DataSource({ type: 'postgres', url, poolSize: 1 }).initialize()
    const runner = source.createQueryRunner()
    return {
      transaction: async (work) => {
        await runner.startTransaction()
        try {
          await work(fromTypeorm(runner))
          await runner.commitTransaction()
        } catch (error) {
          await runner.rollbackTransaction()
          throw error
        }
      },
      outside: () => fromTypeorm(runner),
      close: async () => {
        await runner.release()
        await source.destroy()
      },
    }
  },
}

const TRICKY = `'"\\ ? ?? $1 :name :"schema" {} 🦀`

for (const [name, open] of Object.entries(LIBRARIES)) {
  test(`${name}: what is recorded stays with a commit, and goes with a rollback`, async (t) => {
    const { database } = await openScene(t)
    const outbox = new Outbox({ schema: 'moca', source: undefined, maxBytes: 1_048_576 })
    const library = await open(database.url)
    try {
      const ids: string[] = []
      await library.transaction(async (tx) => {
        ids.push(await outbox.record(tx, 't', { type: 'kept', key: TRICKY, data: TRICKY }))
        ids.push(...(await outbox.record(tx, 't', [{ type: 'kept' }, { type: 'kept' }])))
      })
      const rolledBack = library.transaction(async (tx) => {
        await outbox.record(tx, 't', { type: 'undone' })
        throw new Error('on purpose')
      })
      await assert.rejects(rolledBack, /on purpose/)
      const rows = await database.query<{ id: string; type: string; key: string; payload: string }>(
        'select * from moca.outbox order by seq',
      )
      assert.deepEqual(
        rows.map(({ id, type }) => ({ id, type })),
        ids.map((id) => ({ id, type: 'kept' })),
      )
      assert.equal(rows[0]?.key, TRICKY)
      assert.equal(JSON.parse(rows[0]?.payload ?? '').data, TRICKY)
    } finally {
      await library.close()
    }
  })

  test(`${name}: a refusal of the database is the error that a check before it would have been`, async (t) => {
    const { database } = await openScene(t)
    await database.query('update moca.deployment set max_bytes = 500')
    const outbox = new Outbox({ schema: 'moca', source: undefined, maxBytes: 1_048_576 })
    const library = await open(database.url)
    try {
      await assert.rejects(
        library.transaction((tx) => outbox.record(tx, 't', { type: 'e', data: 'x'.repeat(600) })),
        (error: { code: string; facts: Record<string, unknown>; message: string }) => {
          assert.equal(error.code, 'payload_too_large')
          assert.match(error.message, /^the event has 8\d\d bytes; the limit is 500\. Record a reference/)
          const { bytes, ...facts } = error.facts
          assert.ok((bytes as number) > 800)
          assert.deepEqual(facts, { type: 'e', option: 'data', limit: 500 })
          return true
        },
      )
    } finally {
      await library.close()
    }
  })

  test(`${name}: refuses what is no transaction`, async (t) => {
    const { database } = await openScene(t)
    const library = await open(database.url)
    try {
      assert.throws(() => library.outside(), OptionError)
    } finally {
      await library.close()
    }
  })
}

test('a client of pg is a transaction as it is', async (t) => {
  const { database } = await openScene(t)
  const client = new Client({ connectionString: database.url })
  await client.connect()
  try {
    const outbox = new Outbox({ schema: 'moca', source: undefined, maxBytes: 1_048_576 })
    await outbox.record(client, 't', { type: 'e' })
    assert.equal((await database.query('select from moca.outbox')).length, 1)
  } finally {
    await client.end()
  }
})
