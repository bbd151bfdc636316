import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { Project } from '../support/command-line.ts'
import { startRedis } from '../support/redis-server.ts'

test('the example of the README sends its invoice, and ends by itself after SIGTERM', async () => {
  const readme = await readFile(new URL('../../README.md', import.meta.url), 'utf8')
  const example = /```ts\n([^]*?)```/.exec(readme)?.[1] ?? ''
  const program = example
    .replace(`'mocajs'`, `'SRC/index.ts'`)
    .replace(/'(pino|zod)'/g, (_, name: string) => `'${import.meta.resolve(name)}'`)
  const redis = await startRedis()
  const project = await Project.make({ REDIS_URL: redis.url }, { 'main.ts': program })
  try {
    const running = project.start([], {}, pathToFileURL(join(project.dir, 'main.ts')).href)
    await running.said(/"orderId":"42","msg":"Sending"/)
    running.kill('SIGTERM')
    const { code, stdout, stderr } = await running.ended
    assert.equal(code, 0, stdout + stderr)
    const { queues } = JSON.parse((await project.run(['queue', 'status', '--namespace', 'shop', '--json'])).stdout)
    assert.equal(queues[0].completed, 1)
  } finally {
    await project.remove()
    await redis.stop()
  }
})
