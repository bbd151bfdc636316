import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { SchemaError, SqlError } from '../errors.ts'
import type { Queryable, Transaction } from '../postgres/connection.ts'
import { quoteIdentifier } from '../postgres/identifier.ts'

// The schema, as it came to be: migrations/NNNN-name.sql, applied in order, each once, never changed once it was released, never undone.

export interface Migration {
  readonly number: number
  readonly name: string
  /** With the name of the schema in it. */
  readonly sql: string
  /** Of the text without it. */
  readonly checksum: string
}

export interface SchemaOptions {
  readonly schema: string
  /** Whose log it is: another namespace must not use it. */
  readonly namespace: string
}

export interface MigrateOptions extends SchemaOptions {
  /** Longest event or payload. */
  readonly maxBytes: number
}

/** What migrations run on: a database or one connection. */
export interface Transactional extends Queryable {
  transaction<T>(fn: (transaction: Transaction) => Promise<T>): Promise<T>
}

type Applied = Pick<Migration, 'number' | 'name' | 'checksum'>

const FOLDER = new URL('./migrations/', import.meta.url)
const FILE = /^(\d{4})-([a-z0-9-]+)\.sql$/
// For the lock, which may be another process's whole migration, and for building an index.
const PATIENCE = { replyTimeoutMs: 600_000 }

/** All that this release knows, in order. */
export function loadMigrations(schema: string): Migration[] {
  const files = readdirSync(FOLDER).filter((file) => FILE.test(file))
  return files.toSorted().map((file) => {
    const [, number = '', name = ''] = FILE.exec(file) ?? []
    const text = readFileSync(new URL(file, FOLDER), 'utf8')
    return {
      number: Number(number),
      name,
      sql: text.replaceAll(':"schema"', quoteIdentifier(schema)),
      checksum: createHash('sha256').update(text).digest('hex'),
    }
  })
}

/**
 * Brings the schema to what this release needs, each migration in a transaction of its own; returns those that it applied. Processes that
 * do so at once wait for each other. Rejects with SchemaError, and changes nothing, when the schema is a newer release's, was made from
 * another text, or belongs to another namespace.
 */
export async function migrate(database: Transactional, options: MigrateOptions): Promise<Migration[]> {
  const applied: Migration[] = []
  for (;;) {
    const done = await database.transaction((transaction) => applyNext(transaction, options))
    if (!done) return applied
    applied.push(done)
  }
}

/** The migrations that `migrate` would apply. Rejects as it does. */
export async function findPending(database: Queryable, { schema, namespace }: SchemaOptions): Promise<Migration[]> {
  const pending = withoutApplied(loadMigrations(schema), await readApplied(database, schema), schema)
  const found = await readNamespace(database, schema)
  if (found === undefined || found === namespace) return pending
  throw new SchemaError(
    `Schema ${schema} belongs to namespace ${found}, not to ${namespace}. Set postgres.schema to one of its own.`,
    { schema, problem: 'foreign', found, expected: namespace },
  )
}

/** Rejects with SchemaError unless the schema is what this release needs, and this namespace's. For processes, when they start. */
export async function requireSchema(database: Queryable, options: SchemaOptions): Promise<void> {
  const { schema } = options
  const [next] = await findPending(database, options)
  if (next?.number === 1) {
    throw new SchemaError(`There is no schema ${schema} of Moca in this database. Run moca migrate.`, {
      schema,
      problem: 'missing',
    })
  }
  const expected = loadMigrations(schema).length
  const found = next === undefined ? expected : next.number - 1
  if (found === expected && (await readNamespace(database, schema)) !== undefined) return
  const what = found === expected ? 'was not finished' : `is at migration ${found}; this release needs ${expected}`
  throw new SchemaError(`Schema ${schema} ${what}. Run moca migrate.`, { schema, problem: 'older', found, expected })
}

/** What `migrate` does with these migrations, as SQL for psql. */
export function writeScript(migrations: readonly Migration[], options: MigrateOptions): string {
  const transaction = (script: string) => `begin;\n${lockOf(options.schema)}\n${script.trim()}\ncommit;\n`
  const steps = migrations.map((migration) => transaction(stepOf(migration, options.schema)))
  return [...steps, transaction(settlementOf(options))].join('\n')
}

async function applyNext(transaction: Transaction, options: MigrateOptions): Promise<Migration | undefined> {
  const { schema } = options
  await transaction.run(lockOf(schema), PATIENCE)
  const [next] = await findPending(transaction, options)
  if (!next) {
    await transaction.run(settlementOf(options), PATIENCE)
    return undefined
  }
  try {
    await transaction.run(stepOf(next, schema), PATIENCE)
  } catch (error) {
    if (!(error instanceof SqlError)) throw error
    const message = `Migration ${next.number} (${next.name}) of schema ${schema} failed, and nothing of it was kept: ${error.message}`
    throw new SqlError(message, error.sqlState, error.facts, error)
  }
  return next
}

function lockOf(schema: string): string {
  return `select pg_advisory_xact_lock(hashtextextended(${quoteText(`moca.migrate.${schema}`)}, 7446126));`
}

/** One migration, and the note that it was applied. */
function stepOf({ number, name, sql, checksum }: Migration, schema: string): string {
  const home = quoteIdentifier(schema)
  const begin = `
-- Who may use a schema need not be permitted to make one.
do $$ begin if to_regnamespace(${quoteText(home)}) is null then create schema ${home}; end if; end $$;
create table ${home}.migration (
  number integer primary key,
  name text not null,
  applied_at timestamptz not null default clock_timestamp(),
  checksum text not null
);
`
  const note = `insert into ${home}.migration (number, name, checksum) values (${number}, ${quoteText(name)}, ${quoteText(checksum)});`
  return `${number === 1 ? begin : ''}\n-- Migration ${number}: ${name}\n${sql.trim()}\n\n${note}`
}

/** What holds after all migrations: whose log it is, its limit, and the partitions that it begins with. */
function settlementOf({ schema, namespace, maxBytes }: MigrateOptions): string {
  const home = quoteIdentifier(schema)
  return `
insert into ${home}.deployment (namespace, max_bytes) values (${quoteText(namespace)}, ${maxBytes})
on conflict (is_only) do update set max_bytes = excluded.max_bytes where deployment.namespace = excluded.namespace;
-- The present partition and two ahead. Relays see to the later ones.
do $$ begin
  while (
    select count(*) from ${home}.outbox_partition where number >= (select last_value / 100000000000 from ${home}.outbox_seq)
  ) < 3 loop
    perform ${home}.add_partition();
  end loop;
end $$;`
}

async function readApplied(database: Queryable, schema: string): Promise<Applied[]> {
  const table = `${quoteIdentifier(schema)}.migration`
  if (!(await exists(database, table))) return []
  return database.query<Applied>(`select number, name, checksum from ${table} order by number`)
}

async function exists(database: Queryable, table: string): Promise<boolean> {
  const [row] = await database.query<{ found: boolean }>('select to_regclass($1) is not null as found', [table])
  return row?.found ?? false
}

/** Throws SchemaError when what was applied is not the beginning of what is known. */
function withoutApplied(known: readonly Migration[], applied: readonly Applied[], schema: string): Migration[] {
  const last = applied.at(-1)?.number ?? 0
  if (last > known.length) {
    throw new SchemaError(
      `Schema ${schema} is at migration ${last}; this release of Moca knows ${known.length}. It touches nothing. Run a release that knows migration ${last}.`,
      { schema, problem: 'newer', found: last, expected: known.length },
    )
  }
  for (const [index, { number, name, checksum }] of applied.entries()) {
    const own = known[index]
    if (own?.number === number && own.checksum === checksum) continue
    throw new SchemaError(
      `Migration ${number} (${name}) of schema ${schema} was applied from another text than this release has. It touches nothing. Run the release that made the schema.`,
      { schema, problem: 'changed', found: checksum, expected: own?.checksum },
    )
  }
  return known.slice(applied.length)
}

/** Whose log it is; undefined: it was not finished. */
async function readNamespace(database: Queryable, schema: string): Promise<string | undefined> {
  const table = `${quoteIdentifier(schema)}.deployment`
  if (!(await exists(database, table))) return undefined
  const [row] = await database.query<{ namespace: string }>(`select namespace from ${table}`)
  return row?.namespace
}

function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`
}
