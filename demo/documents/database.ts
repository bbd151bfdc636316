import { readFile } from 'node:fs/promises'
import { Capture } from '../../src/outbox/capture.ts'
import { migrate } from '../../src/outbox/migrations.ts'
import { Subscriptions } from '../../src/outbox/subscriptions.ts'
import { PostgresConnection } from '../../src/postgres/connection.ts'
import { City } from '../app.ts'
import { SUBSCRIPTIONS } from '../subscriptions.ts'

const SCHEMA = 'moca'
const MAX_BYTES = 1_048_576

/**
 * Makes the tables of the application and those of Moca. Every change of a city is captured from then on, and the subscriptions get what
 * is recorded.
 */
export async function prepareDatabase(url: string, namespace: string): Promise<void> {
  const connection = await PostgresConnection.open({ url }, 'demo')
  try {
    const text = await readFile(new URL('schema.sql', import.meta.url), 'utf8')
    for (const statement of text.split(/;\n/)) if (statement.trim() !== '') await connection.query(statement)
    await migrate(connection, { schema: SCHEMA, namespace, maxBytes: MAX_BYTES })
    await new Capture(connection, SCHEMA).install(City)
    const registry = new Subscriptions(connection, SCHEMA)
    for (const subscription of SUBSCRIPTIONS) await registry.register(subscription)
  } finally {
    connection.destroy()
  }
}
