import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { OutboxArena } from '../arena.ts'
import type { OutboxCounts } from '../verdict.ts'

export const terminateSessions: Scenario<OutboxCounts> = {
  name: 'terminate-sessions',
  title: "Relays' connections to PostgreSQL are terminated",
  text: 'A session of a relay in PostgreSQL is ended from outside (pg_terminate_backend) at a random instant, again and again. The relays go on by themselves.',
  async run(size, seed, count = size === 'full' ? 100 : 5) {
    const random = new Random(seed)
    await using arena = await OutboxArena.open(random)
    await Promise.all([arena.startRelay(), arena.startRelay()])
    await arena.startWriters()
    let terminated = 0
    while (terminated < count) {
      await wait(random.between(50, 400))
      const [ended] = await arena.admin.query<{ was: boolean }>(
        `select pg_terminate_backend(pid) as was from pg_stat_activity
         where application_name like 'moca:%:relay' and datname = current_database() order by md5(pid || $1) limit 1`,
        [String(random.next())],
      )
      if (ended?.was) terminated++
    }
    return { facts: { terminated }, verdict: await arena.verdict() }
  },
}
