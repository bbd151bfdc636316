import { isDeepStrictEqual } from 'node:util'
import { setTimeout as wait } from 'node:timers/promises'
import type { SinkStatus } from '../../../../src/outbox/outbox-status.ts'
import { waitFor } from '../../../support/wait-for.ts'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

export const postgresOlder: Scenario<OutboxCounts> = {
  name: 'postgres-older',
  title: 'PostgreSQL is put back to an older backup while Redis goes on',
  text: 'PostgreSQL is put back to a backup; what was committed since is gone from it, and was handled. Exactly the lanes that had sent something since stand still, each with the numbers of both sides (`moca outbox status`), and nothing of theirs goes out, until `moca outbox rebase` accepts this PostgreSQL as the truth. Then everything goes on: nothing that it has is lost or out of order.',
  async run(size, seed, count = size === 'full' ? 5 : 1) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    const problems: string[] = []
    let forgotten = 0
    for (let round = 0; round < count; round++) forgotten += await playOne(arena, random, round, problems)
    if (forgotten === 0) problems.push('PostgreSQL forgot nothing')
    const verdict = await arena.verdict({ forgotten: /^gone/ })
    return { facts: { restores: count, eventsForgottenByPostgres: forgotten }, verdict, problems }
  },
}

/** Returns how many events PostgreSQL forgot. */
async function playOne(arena: OutboxArena, random: Random, round: number, problems: string[]): Promise<number> {
  await write(arena, random)
  const backup = await arena.postgres.backup()
  await arena.reconnect()
  await arena.addKeys(`gone${round}-`)
  await write(arena, random, `gone${round}-`)
  const before = await lastBatches(arena)
  const [sum] = await arena.admin.query<{ events: number }>(
    'select coalesce(sum(value), 0)::int as events from counter where key like $1',
    [`gone${round}-%`],
  )
  await arena.postgres.restore(backup)
  await arena.reconnect()
  const after = await lastBatches(arena)
  const expected = [...before]
    .filter(([lane, n]) => n > (after.get(lane) ?? 0))
    .map(([lane, n]) => ({ lane, found: n, expected: after.get(lane) ?? 0 }))
  const isExact = await waitFor(async () => isDeepStrictEqual(await standing(arena), expected), {
    timeoutMs: 30_000,
    intervalMs: 500,
  }).catch(() => false)
  if (!isExact) {
    problems.push(`Standing still: ${JSON.stringify(await standing(arena))}; expected: ${JSON.stringify(expected)}`)
  }
  // What is recorded meanwhile waits where its lane stands still.
  await arena.startWriters()
  await wait(500)
  await arena.endWriters()
  const { code, stderr } = await arena.command(['outbox', 'rebase', '--force', '--json'])
  if (code !== 0) problems.push(`moca outbox rebase ended with ${code}: ${stderr}`)
  if (!(await arena.isAllHandled(60_000))) problems.push('After the rebase not everything came')
  return sum?.events ?? 0
}

/** Writes for a while, and waits until it is handled, and known to be. */
async function write(arena: OutboxArena, random: Random, prefix?: string): Promise<void> {
  await arena.startWriters(prefix)
  await wait(random.between(500, 1_500))
  await arena.endWriters()
  if (!(await arena.isAllHandled(60_000))) throw new Error('What was written was not handled')
  const unknown = `select from moca.outbox_batch b
    where n = (select max(n) from moca.outbox_batch where sink = b.sink and lane = b.lane)
      and not exists (select from moca.outbox_ack a where a.sink = b.sink and a.lane = b.lane and a.n = b.n)`
  await waitFor(async () => (await arena.admin.query(unknown)).length === 0, { describe: 'acknowledgements' })
}

/** Lane -> number of its last batch. */
async function lastBatches(arena: OutboxArena): Promise<ReadonlyMap<number, number>> {
  const rows = await arena.admin.query<{ lane: number; n: number }>(
    `select lane, max(n) as n from moca.outbox_batch where sink = 'queue' group by lane order by lane`,
  )
  return new Map(rows.map(({ lane, n }) => [lane, n]))
}

/** The list that an operator gets. */
async function standing(arena: OutboxArena): Promise<object[]> {
  const { stdout } = await arena.command(['outbox', 'status', '--json'])
  const { sinks } = JSON.parse(stdout) as { readonly sinks: readonly SinkStatus[] }
  return sinks
    .flatMap(({ lanes }) => lanes)
    .flatMap(({ lane, standstill }) =>
      standstill?.reason === 'behind' ? [{ lane, found: standstill.found, expected: standstill.expected }] : [],
    )
}
