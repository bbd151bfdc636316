import assert from 'node:assert/strict'
import { test } from 'node:test'
import { findProblems } from './import-rules.ts'

const problems = (files: Record<string, string>) => findProblems(new Map(Object.entries(files)))

test('accepts imports that point down', () => {
  assert.deepEqual(
    problems({
      'src/errors.ts': '',
      'src/job/job.ts': "import { MocaError } from '../errors.ts'\n",
      'src/queue/keys.ts': "import type { Job } from '../job/job.ts'\nimport { createClient } from '@redis/client'\n",
      'src/moca.ts': "import { keys } from './queue/keys.ts'\n",
    }),
    [],
  )
})

test('refuses an import that points up, a type and a lazy one too, and names its line', () => {
  const up = "import { errors } from '../errors.ts'\nimport type {\n  Key,\n} from '../queue/keys.ts'\n"
  assert.deepEqual(problems({ 'src/errors.ts': '', 'src/queue/keys.ts': '', 'src/job/job.ts': up }), [
    "src/job/job.ts:2 imports '../queue/keys.ts': job may use only errors, clock, logger, hook of src",
  ])
  const lazy = "const load = () => import('../queue/keys.ts')\n"
  assert.equal(problems({ 'src/queue/keys.ts': '', 'src/job/job.ts': lazy }).length, 1)
  const again = "export * from '../queue/keys.ts'\n"
  assert.equal(problems({ 'src/queue/keys.ts': '', 'src/job/job.ts': again }).length, 1)
})

test('refuses that features import each other', () => {
  assert.deepEqual(problems({ 'src/queue/keys.ts': '', 'src/events/emitter.ts': "import '../queue/keys.ts'\n" }), [
    "src/events/emitter.ts:1 imports '../queue/keys.ts': events may use only job, hook, doctype, errors, clock, logger, service, redis of src",
  ])
})

test('refuses a package outside its owners', () => {
  assert.deepEqual(problems({ 'src/scheduler/leader.ts': "import { createClient } from '@redis/client'\n" }), [
    "src/scheduler/leader.ts:1 imports '@redis/client': only src/redis, src/queue may use it",
  ])
})

test('refuses imports from outside src and of files that are not there', () => {
  assert.match(
    problems({ 'src/job/job.ts': "import { a } from '../../test/a.ts'\n", 'test/a.ts': '' })[0] ?? '',
    /src alone/,
  )
  assert.match(problems({ 'src/job/job.ts': "import { a } from './a.js'\n" })[0] ?? '', /there is no src\/job\/a\.js/)
})

test('asks for a rule for a new folder', () => {
  assert.match(
    problems({ 'src/widgets/a.ts': "import { b } from './b.ts'\n", 'src/widgets/b.ts': '' })[0] ?? '',
    /is new/,
  )
})

test('lets tests import what they like', () => {
  assert.deepEqual(
    problems({ 'src/job/job.test.ts': "import { a } from '../../test/support/a.ts'\n", 'test/support/a.ts': '' }),
    [],
  )
})

test('ignores imports in comments and strings', () => {
  const text =
    "/**\n * import { a } from '../queue/a.ts'\n */\nexport const text = `\n  import { a } from '../queue/a.ts'`\n"
  assert.deepEqual(problems({ 'src/job/job.ts': text }), [])
})

test('finds a cycle once, and none through a lazy import or a type', () => {
  const a = "import { b } from './b.ts'\n"
  const b = "import { c } from './c.ts'\n"
  assert.deepEqual(problems({ 'demo/a.ts': a, 'demo/b.ts': b, 'demo/c.ts': "import { a } from './a.ts'\n" }), [
    'cycle: demo/a.ts -> demo/b.ts -> demo/c.ts -> demo/a.ts',
  ])
  assert.deepEqual(problems({ 'demo/a.ts': a, 'demo/b.ts': b, 'demo/c.ts': "export const a = import('./a.ts')\n" }), [])
  const type = "import type { A } from './a.ts'\n"
  assert.deepEqual(problems({ 'demo/a.ts': a, 'demo/b.ts': b, 'demo/c.ts': type }), [])
})
