import { ensureInstalled } from './installation.ts'
import { PGBOUNCER, POSTGRES } from './recipes.ts'

// Sees to it that the distribution's PostgreSQL, and the pooler in front of one, can be started. Nothing is started here, and a server that
// already runs is left alone. Most tests run on the embedded PostgreSQL, so they can do without: `--if-possible` does not fail then, and the
// tests say what they left out. But for .ci/run, which sees to it that nothing is left out.

for (const recipe of [POSTGRES, PGBOUNCER]) {
  const lack = ensureInstalled(recipe)
  if (lack === undefined) continue
  console.error(lack)
  if (!process.argv.includes('--if-possible') || process.env.MOCA_TEST_ALL) process.exitCode = 1
}
