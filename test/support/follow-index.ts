import { setTimeout as sleep } from 'node:timers/promises'
import { DocumentChanges } from '../../src/outbox/document-changes.ts'
import { IndexFollower } from '../../src/outbox/index-follower.ts'
import { IndexPosition } from '../../src/outbox/index-position.ts'
import { RelayStore } from '../../src/outbox/relay-store.ts'
import { PostgresConnection } from '../../src/postgres/connection.ts'

// A process that keeps the table `copy` as the table `city` is, as a search index would be kept: until it is killed, or loses the index.
// Arguments: the database's URL.

const [url = ''] = process.argv.slice(2)
const connection = await PostgresConnection.open({ url }, 'moca:test-follower')
const owner = `follower-${process.pid}`

const deps = {
  log: new RelayStore(connection, { schema: 'moca', sink: 'search', relay: owner }),
  changes: new DocumentChanges(connection, 'moca'),
  position: new IndexPosition(connection, { schema: 'moca', index: 'city', owner, leaseMs: 2_000 }),
  doctypes: ['City'],
}

async function take(): Promise<IndexFollower> {
  for (;;) {
    const follower = await IndexFollower.take(deps)
    if (follower) return follower
    await sleep(20) // until the session of who was killed has ended
  }
}

const follower = await take()
process.stdout.write('taken\n')
for (;;) {
  if (!(await follower.renew())) throw new Error('lost')
  const batch = await follower.next()
  if (!batch) {
    await sleep(5) // a poll
    continue
  }
  const ids = batch.documents.map(({ docname }) => Number(docname))
  const rows = await connection.query<{ id: number; name: string }>('select id, name from city where id = any ($1)', [
    ids,
  ])
  if (!(await follower.intend(batch))) throw new Error('lost')
  // Engines take their time: whoever is killed is most often killed here.
  await connection.query('select pg_sleep(0.02)')
  // On the owner's connection: nobody takes the index before what is under way there has ended.
  await connection.query(
    `with gone as (delete from copy where id = any ($1::int[]) and not id = any ($2::int[]))
     insert into copy select * from unnest($2::int[], $3::text[]) on conflict (id) do update set name = excluded.name`,
    [ids, rows.map(({ id }) => id), rows.map(({ name }) => name)],
  )
  if (!(await follower.settle(batch))) throw new Error('lost')
}
