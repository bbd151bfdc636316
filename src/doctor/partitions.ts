import { addPartition, countPartitionsAhead, PARTITIONS_AHEAD, waitingAtMost } from '../outbox/partitions.ts'
import type { Database } from '../postgres/database.ts'
import { type Diagnosis, problem } from './diagnosis.ts'

const LOCK_TIMEOUT_MS = 2_000

/** Whether the log has partitions to go on in. */
export async function checkPartitions(database: Database, schema: string): Promise<Diagnosis[]> {
  const ahead = await countPartitionsAhead(database, schema)
  if (ahead >= PARTITIONS_AHEAD) return []
  return [
    problem(
      `The log has ${ahead} of ${PARTITIONS_AHEAD} partitions ahead; without one it cannot go on.`,
      'Run a relay (moca outbox start), which makes them, or moca doctor --fix.',
      () => addPartitions(database, schema, PARTITIONS_AHEAD - ahead),
    ),
  ]
}

async function addPartitions(database: Database, schema: string, count: number): Promise<string> {
  const connection = await database.openConnection()
  try {
    const made: number[] = []
    while (made.length < count)
      made.push(await waitingAtMost(connection, LOCK_TIMEOUT_MS, (transaction) => addPartition(transaction, schema)))
    return `Added ${count === 1 ? 'partition' : 'partitions'} ${made.join(', ')} to the log.`
  } finally {
    connection.destroy()
  }
}
