import assert from 'node:assert/strict'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { ConfigError } from '../errors.ts'
import { loadConfig } from './load-config.ts'

let dir: string
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'moca-config-'))
})
after(() => rm(dir, { recursive: true }))

async function project(name: string, files: Record<string, string>): Promise<string> {
  const folder = join(dir, name)
  await mkdir(folder)
  for (const [file, text] of Object.entries(files)) await writeFile(join(folder, file), text)
  return folder
}

test('imports moca.config.ts of the directory or of one above it', async () => {
  const cwd = await project('typed', { 'moca.config.ts': `export default { namespace: 'shop' as string }` })
  assert.deepEqual(await loadConfig({ cwd }), { input: { namespace: 'shop' }, file: join(cwd, 'moca.config.ts') })
  const below = join(cwd, 'src')
  await mkdir(below)
  assert.equal((await loadConfig({ cwd: below })).file, join(cwd, 'moca.config.ts'))
})

test('imports a given file, also .mjs, relative to the directory', async () => {
  const cwd = await project('given', { 'other.mjs': `export default { namespace: 'other' }` })
  assert.equal((await loadConfig({ path: 'other.mjs', cwd })).input.namespace, 'other')
})

test('falls back to the defaults when there is no file', async () => {
  const cwd = await project('none', {})
  assert.deepEqual(await loadConfig({ cwd }), { input: {}, file: undefined })
})

test('says what is wrong with a file that cannot be used', async () => {
  const cwd = await project('broken', {
    'throws.mjs': `throw new Error('out of beans')`,
    'empty.mjs': `export const config = {}`,
    'strange.cfg': `export default {}`,
  })
  const failure = async (path: string) => {
    const error = await loadConfig({ path, cwd }).then(
      () => assert.fail('it loaded'),
      (error: unknown) => error,
    )
    assert.ok(error instanceof ConfigError)
    return error.message
  }
  assert.match(await failure('missing.ts'), /There is no configuration file .*missing\.ts/)
  assert.match(await failure('throws.mjs'), /throws\.mjs does not load: out of beans/)
  assert.match(await failure('strange.cfg'), /strange\.cfg does not load: Node\.js v\S+ does not read it; Moca needs/)
  assert.match(await failure('empty.mjs'), /empty\.mjs must export a configuration: export default defineConfig/)
})
