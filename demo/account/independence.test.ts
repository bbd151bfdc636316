import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const DEMO = fileURLToPath(new URL('..', import.meta.url))

// What is erased at run time can make no mistake.
const IMPORT = /^(?:import|export)\s(?!type\s)[^']*?'(\.[^']+)'/gm

test('the account and what it reads with share no code with Moca', async () => {
  const seen = new Set<string>()
  const visit = async (file: string): Promise<void> => {
    if (seen.has(file)) return
    seen.add(file)
    if (relative(DEMO, file).startsWith('..')) return
    const text = await readFile(file, 'utf8')
    for (const [, path = ''] of text.matchAll(IMPORT)) await visit(join(dirname(file), path))
  }
  for (const start of ['account/account.ts', 'raw-walk.ts', 'documents/read-postgres.ts'])
    await visit(join(DEMO, start))
  const files = [...seen].map((file) => relative(DEMO, file))
  assert.ok(files.includes('account/judge-deliveries.ts') && files.includes('recorded.ts'), 'imports were followed')
  assert.deepEqual(
    files.filter((file) => file.startsWith('..')),
    [],
  )
})
