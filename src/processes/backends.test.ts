import assert from 'node:assert/strict'
import { test } from 'node:test'
import { resolveConfig } from '../config/config.ts'
import { silentLogger } from '../logger.ts'
import { tellBackends } from './backends.ts'

function told(input: Parameters<typeof resolveConfig>[0]): [facts: object, message: string] {
  let line: [object, string] | undefined
  const info = (facts: object, message: string) => {
    line = [facts, message]
  }
  tellBackends(resolveConfig(input, {}), { ...silentLogger, info })
  return line ?? assert.fail('nothing was told')
}

test('says what is not available without PostgreSQL', () => {
  const [facts, message] = told({})
  assert.deepEqual(facts, {
    redis: '127.0.0.1:6379',
    unavailable: ['recording in transactions', 'capture', 'history and replay of events'],
  })
  assert.match(message, /There is no PostgreSQL \(postgres\.url, DATABASE_URL\): not available are recording/)
})

test('says which server does what, and no password', () => {
  const postgres = { url: 'postgres://ada:hunter2@db.internal:5433/shop' }
  const line = told({ redis: { url: 'redis://:hunter2@cache.internal:6380' }, postgres })
  assert.doesNotMatch(JSON.stringify(line), /hunter2/)
  assert.deepEqual(line[0], { redis: 'cache.internal:6380', postgres: 'db.internal:5433/shop' })
})
