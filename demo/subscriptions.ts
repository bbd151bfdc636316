import { defineSubscription } from '../src/index.ts'
import { ALERT_RAISED, ALERTS_TOPIC, COUNTRIES_TOPIC, DOCTYPE, ENRICH_ATTEMPTS } from './recorded.ts'

// Who wants to hear of what was recorded, one on each queue. Shared by relays, which register them, and workers.

const DOCUMENTS_TOPIC = 'moca.doc.events'
const retry = { attempts: 6, backoff: 'fixed', delay: '200ms' } as const

/** Every change of a city. One whose coordinates cannot be is a dead letter, and later changes of it wait. */
export const enrich = defineSubscription({
  name: 'enrich',
  topics: [DOCUMENTS_TOPIC],
  doctypes: [DOCTYPE],
  queue: 'default',
  timeout: '30s',
  retry: { attempts: ENRICH_ATTEMPTS, backoff: 'fixed', delay: '400ms' },
})

export const alert = defineSubscription({
  name: 'alert',
  topics: [ALERTS_TOPIC, DOCUMENTS_TOPIC],
  types: [ALERT_RAISED, `${DOCTYPE}.deleted`],
  queue: 'critical',
  timeout: '30s',
  retry,
})

export const report = defineSubscription({
  name: 'report',
  topics: [COUNTRIES_TOPIC],
  queue: 'long',
  timeout: '60s',
  retry,
})

export const SUBSCRIPTIONS = [enrich, alert, report]
