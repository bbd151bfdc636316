import { ensureInstalled } from './installation.ts'
import { POSTGRES } from './recipes.ts'

// Sees to it that the distribution's PostgreSQL can be started. Nothing is started here, and a server that already runs is left alone.
// Tests run on the embedded one, too, so they can do without: `--if-possible` does not fail then, and the tests say what they left out.
// But for .ci/run, which sees to it that nothing is left out.

const lack = ensureInstalled(POSTGRES)
if (lack !== undefined) {
  console.error(lack)
  process.exitCode = process.argv.includes('--if-possible') && !process.env.MOCA_TEST_ALL ? 0 : 1
}
