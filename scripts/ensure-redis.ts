import { ensureInstalled } from './installation.ts'
import { REDIS } from './recipes.ts'

// Sees to it that redis-server can be started. Nothing is started here, and a server that already runs is left alone.

const lack = ensureInstalled(REDIS)
if (lack !== undefined) {
  console.error(lack)
  process.exitCode = 1
}
