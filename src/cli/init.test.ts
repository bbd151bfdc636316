import assert from 'node:assert/strict'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { Project } from '../../test/support/command-line.ts'

test('writes an application, and refuses to write where one of its files is', async (t) => {
  const project = await Project.make({})
  t.after(() => project.remove())
  const { code, stdout, stderr } = await project.run(['init', 'My Shop'])
  assert.deepEqual([code, stderr], [0, ''])
  assert.match(stdout, /^Wrote .*orders\.test\.ts.*\nNext: cd My Shop; npm install; npm test; npm run dev\n$/)
  const folder = join(project.dir, 'My Shop')
  const files = (await readdir(folder)).toSorted()
  assert.deepEqual(files, [
    '.gitignore',
    'README.md',
    'app.ts',
    'database.ts',
    'handlers.ts',
    'moca.config.ts',
    'orders.test.ts',
    'orders.ts',
    'package.json',
  ])
  const made = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8'))
  assert.equal(made.name, 'my-shop')
  assert.ok([...Object.values(made.dependencies), ...Object.values(made.devDependencies)].every((v) => v !== '*'))

  await writeFile(join(folder, 'orders.ts'), 'mine')
  const again = await project.run(['init', 'My Shop', '--json'])
  assert.deepEqual([again.code, again.stdout], [2, ''])
  assert.match(JSON.parse(again.stderr).error, /My Shop has .*orders\.ts.* already; nothing was written/)
  assert.equal(await readFile(join(folder, 'orders.ts'), 'utf8'), 'mine')
})

test('writes beside files of others', async (t) => {
  const project = await Project.make({}, { 'notes.txt': 'mine' })
  t.after(() => project.remove())
  const { code, stdout } = await project.run(['init', '--json'])
  assert.equal(code, 0)
  assert.ok(JSON.parse(stdout).files.includes('package.json'))
  assert.equal(await readFile(join(project.dir, 'notes.txt'), 'utf8'), 'mine')
})

test('the application that was written outlives connections that PostgreSQL ends', async () => {
  const { pool } = await import('../../template/database.ts')
  // What the pool does when an idle connection breaks: an event that nobody listens to ends the process.
  assert.equal(pool.emit('error', new Error('terminating connection due to administrator command')), true)
  await pool.end()
})
