import { setTimeout as wait } from 'node:timers/promises'
import { Random } from '../../random.ts'
import type { Scenario } from '../../scenario.ts'
import { SearchArena } from '../arena.ts'
import type { SearchCounts } from '../verdict.ts'

const REBUILD = ['search', 'rebuild', 'City', '--batch-size', '100']

export const killRebuild: Scenario<SearchCounts> = {
  name: 'kill-rebuild',
  title: 'A rebuild is killed, and goes on',
  text: 'moca search rebuild is killed with SIGKILL at a random instant, again and again, while rows are written and search sync keeps the live index; each one goes on where the one before was, and some come to their end and swap. Every third time two are started at once: only one of them works.',
  async run(size, seed, count = size === 'full' ? 100 : 4) {
    const random = new Random(seed)
    await using arena = await SearchArena.open(random, size === 'full' ? 20_000 : 3_000)
    await arena.startSync()
    await arena.writer()
    arena.startWriters()
    const problems: string[] = []
    const facts = { kills: 0, swaps: 0, pairs: 0, refused: 0 }
    while (facts.kills < count) {
      const isPair = (facts.kills + facts.swaps) % 3 === 2
      const rebuilds = [arena.spawn(REBUILD), ...(isPair ? [arena.spawn(REBUILD)] : [])]
      if (isPair) facts.pairs++
      await Promise.race([wait(random.between(300, 2_500)), Promise.all(rebuilds.map(({ ended }) => ended))])
      const killed = rebuilds.filter((rebuild) => !rebuild.hasEnded && rebuild.kill('SIGKILL'))
      facts.kills += killed.length
      for (const rebuild of rebuilds) {
        const { code, stderr } = await rebuild.ended
        if (code === 0) facts.swaps++
        else if (stderr.includes('is being rebuilt by')) facts.refused++
        else if (!killed.includes(rebuild)) problems.push(`A rebuild ended with ${code}: ${stderr.slice(-300)}`)
      }
      problems.push(...(await arena.findLostRows()))
    }
    const last = await arena.command(REBUILD)
    if (last.code !== 0) problems.push(`The last rebuild ended with ${last.code}: ${last.stderr}`)
    return { facts, verdict: await arena.verdict(), problems }
  },
}
