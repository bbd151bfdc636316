import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { maskUrls } from './mask-urls.ts'

/** What a logger writes: it goes to standard output, so it runs in a process of its own. */
function logged(options: object, statement: string): string {
  const file = new URL('./log.ts', import.meta.url).href
  const program = `import { makeLogger } from '${file}'; const log = makeLogger(${JSON.stringify(options)}); ${statement}`
  return execFileSync(process.execPath, ['--input-type=module', '-e', program], { encoding: 'utf8' })
}

test('writes one JSON object a line, with a level and a time that people can read', () => {
  const text = logged(
    { level: 'info', isPretty: false, hasColor: false },
    `log.debug({}, 'no'); log.child({ worker: 'w' }).warn({ jobId: 'j' }, 'slow')`,
  )
  const { level, time, worker, jobId, msg } = JSON.parse(text)
  assert.deepEqual({ level, worker, jobId, msg }, { level: 'warn', worker: 'w', jobId: 'j', msg: 'slow' })
  assert.ok(!Number.isNaN(Date.parse(time)))
})

test('masks secrets by name and passwords in URLs', () => {
  const statement = `log.info({ password: 'hunter2', user: { token: 'hunter2' }, to: 'https://a:hunter2@b/c' }, 'at redis://:hunter2@h')`
  for (const isPretty of [true, false]) {
    const text = logged({ level: 'info', isPretty, hasColor: false }, statement)
    assert.doesNotMatch(text, /hunter2/)
    assert.match(text, /redis:\/\/\*\*\*@h/)
  }
})

test('writes for people on a terminal', () => {
  const text = logged({ level: 'info', isPretty: true, hasColor: false }, `log.info({ port: 1 }, 'listening')`)
  assert.match(text, /^\[\d\d:\d\d:\d\d\.\d{3}\] INFO: listening\n {4}port: 1\n$/)
})

test('leaves addresses without a password alone', () => {
  const text = 'redis://host:1/0 ada@example.org https://x/@y'
  assert.equal(maskUrls(text), text)
})
