import assert from 'node:assert/strict'
import { test } from 'node:test'
import { defineApp } from '../config/config.ts'
import { ConfigError } from '../errors.ts'
import { defineSubscription, handleEvent } from '../events/subscription.ts'
import { defineJob, handle } from '../job/job.ts'
import { type Logger, silentLogger } from '../logger.ts'
import { loadHandlers } from './handlers.ts'

const mail = defineJob({ type: 'mail' })
const image = defineJob({ type: 'image' })
const mailHandler = handle(mail, () => {})
const imageHandler = handle(image, () => {})
const app = (name: string, handlers: () => Promise<object>) => defineApp({ name, jobs: [mail, image], handlers })

test('takes what the modules export, one by one or in a list, each once', async () => {
  const module = { mailHandler, default: [mailHandler, imageHandler], other: 5, nothing: null }
  assert.deepEqual(await loadHandlers([app('a', async () => module)], silentLogger), [mailHandler, imageHandler])
})

test('says which jobs it has no handler for', async () => {
  const warned: object[] = []
  const log: Logger = { ...silentLogger, warn: (fields) => void warned.push(fields) }
  await loadHandlers([app('a', async () => ({ mailHandler }))], log)
  assert.deepEqual(warned, [{ app: 'a', types: ['image'] }])
})

test('takes handlers of events, and says which subscription has none', async () => {
  const warned: object[] = []
  const log: Logger = { ...silentLogger, warn: (fields) => void warned.push(fields) }
  const subscriptions = ['bills', 'mails'].map((name) => defineSubscription({ name, topics: ['shop.orders'] }))
  const handlers = subscriptions.slice(1).map((subscription) => handleEvent(subscription, () => {}))
  const shop = defineApp({ name: 'shop', subscriptions, handlers: async () => ({ handlers }) })
  assert.deepEqual(await loadHandlers([shop], log), handlers)
  assert.deepEqual(warned, [{ app: 'shop', types: ['event:bills'] }])
})

test('refuses to run nothing, and names the app that does not load', async () => {
  const fail = async (apps: Parameters<typeof loadHandlers>[0], message: RegExp) => {
    await assert.rejects(
      loadHandlers(apps, silentLogger),
      (error) => error instanceof ConfigError && message.test(error.message),
    )
  }
  await fail([], /has no apps/)
  await fail([app('a', async () => ({}))], /export no handlers/)
  await fail([app('a', () => Promise.reject(new Error('out of beans')))], /handlers of app a do not load: out of beans/)
})
