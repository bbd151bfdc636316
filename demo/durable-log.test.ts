import assert from 'node:assert/strict'
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { DurableLog, readLines } from './durable-log.ts'

let dir = ''
before(async () => {
  dir = await mkdtemp(join(tmpdir(), 'moca-durable-log-'))
})
after(() => rm(dir, { recursive: true }))

test('has a line in the file when its append resolves', async () => {
  const path = join(dir, 'one.txt')
  const log = await DurableLog.open<{ n: number }>(path)
  await log.append({ n: 1 })
  assert.equal(await readFile(path, 'utf8'), '{"n":1}\n')
  await log.close()
})

test('keeps every line, in order, when many are appended at once', async () => {
  const path = join(dir, 'many.txt')
  const log = await DurableLog.open<number>(path)
  const numbers = Array.from({ length: 5_000 }, (_, n) => n)
  await Promise.all(numbers.map((n) => log.append(n)))
  assert.equal(await readFile(path, 'utf8'), `${numbers.join('\n')}\n`)
  await log.close()
})

test('rejects what could not be written', async () => {
  const log = await DurableLog.open<number>(join(dir, 'closed.txt'))
  await log.close()
  await assert.rejects(log.append(1))
})

test('reads all files of a directory and leaves out half a last line', async () => {
  for (const name of ['a', 'b']) {
    const log = await DurableLog.open<string>(join(dir, `${name}.jsonl`))
    await log.append(name)
    await log.close()
  }
  await appendFile(join(dir, 'b.jsonl'), '"the process was kil')
  assert.deepEqual((await readLines<string>(dir)).toSorted(), ['a', 'b'])
})
