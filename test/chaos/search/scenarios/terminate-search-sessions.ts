import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { SearchArena } from '../arena.ts'
import type { SearchCounts } from '../verdict.ts'

const REBUILD = ['search', 'rebuild', 'City', '--batch-size', '100']

export const terminateSearchSessions: Scenario<SearchCounts> = {
  name: 'terminate-search-sessions',
  title: 'Connections of search sync and of rebuilds to PostgreSQL are terminated',
  text: 'A session of search sync or of a rebuild in PostgreSQL is ended from outside (pg_terminate_backend) at a random instant, again and again. Search sync goes on by itself; a rebuild ends with an error, and the next one goes on.',
  async run(size, seed, count = size === 'full' ? 100 : 6) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, size === 'full' ? 5_000 : 500)
    await Promise.all([arena.startSync(), arena.startSync()])
    await arena.writer()
    arena.startWriters()
    const problems: string[] = []
    const facts = { terminated: 0, rebuildsEnded: 0, swaps: 0 }
    let rebuild = arena.spawn(REBUILD)
    while (facts.terminated < count) {
      await wait(random.between(50, 500))
      const [ended] = await arena.admin.query<{ was: boolean }>(
        `select pg_terminate_backend(pid) as was from pg_stat_activity
         where application_name like 'moca:%' and datname = current_database() order by md5(pid || $1) limit 1`,
        [String(random.next())],
      )
      if (ended?.was) facts.terminated++
      if (!rebuild.hasEnded) continue
      const { code, stderr } = await rebuild.ended
      if (code === 0) facts.swaps++
      else if (/terminat|closed|connection|administrator/i.test(stderr)) facts.rebuildsEnded++
      else problems.push(`A rebuild ended with ${code}: ${stderr.slice(-400)}`)
      problems.push(...(await arena.findLostRows()))
      rebuild = arena.spawn(REBUILD)
    }
    const { code } = await rebuild.ended
    if (code === 0) facts.swaps++
    const last = await arena.command(REBUILD)
    if (last.code !== 0) problems.push(`The last rebuild ended with ${last.code}: ${last.stderr}`)
    return { facts, verdict: await arena.verdict(), problems }
  },
}
