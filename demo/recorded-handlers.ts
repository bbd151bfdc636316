import { setTimeout as wait } from 'node:timers/promises'
import {
  type Envelope,
  type EventContext,
  handle,
  handleEvent,
  type JobHandler,
  type JobInfo,
  type Subscription,
} from '../src/index.ts'
import type { DeliveryLedger, DeliveryLine } from './delivery-ledger.ts'
import { tallyCountry } from './jobs.ts'
import { monotonicUs } from './monotonic.ts'
import { DOCTYPE, identify, type Numbered } from './recorded.ts'
import { alert, enrich, report } from './subscriptions.ts'

/** The work of all workers for what was recorded. Waits stand for the outside systems that a handler mostly waits for. */
export function makeRecordedHandlers(ledger: DeliveryLedger): JobHandler[] {
  const deliver = recorder(ledger)
  return [
    onEvent(deliver, enrich, async ({ event }) => {
      locate(event)
      await wait(2) // the geocoder
    }),
    // Some fail once: later events of their key must wait for the retry.
    onEvent(deliver, alert, async ({ event, attempt }) => {
      if (attempt === 1 && identify(event).number % 7 === 3) throw new Error('The message service is busy')
      await wait(2)
    }),
    onEvent(deliver, report, async () => {
      await wait(60) // the typesetter: long enough to be stopped in the middle of it
    }),
    handle(tallyCountry, ({ payload, job, attempt, fence }) =>
      deliver({ route: tallyCountry.type, eventId: undefined, ...payload, job, attempt, fence }, async () => {
        if (attempt === 1 && payload.number % 11 === 5) throw new Error('The register is locked')
        await wait(1)
      }),
    ),
  ]
}

type Attempt = Pick<DeliveryLine, 'route' | 'eventId' | 'attempt'> &
  Numbered & { readonly job: JobInfo; readonly fence: bigint }
type Deliver = (attempt: Attempt, work: () => Promise<void>) => Promise<void>

function onEvent(
  deliver: Deliver,
  subscription: Subscription,
  work: (context: EventContext) => Promise<void>,
): JobHandler {
  return handleEvent(subscription, (context) => {
    const { event, job, attempt, fence } = context
    const facts = { route: subscription.name, eventId: event.event_id, ...identify(event), job, attempt, fence }
    return deliver(facts, () => work(context))
  })
}

/** Each attempt ends with a line in the ledger, on the disk before Moca hears of the outcome. */
function recorder(ledger: DeliveryLedger): Deliver {
  return async ({ route, eventId, subject, number, attempt, fence, job }, work) => {
    const write = (rest: Pick<DeliveryLine, 'outcome' | 'error'>) =>
      ledger.append({
        route,
        subject,
        number,
        id: job.id,
        eventId,
        queue: job.queue,
        key: job.key,
        fence: String(fence),
        attempt,
        pid: process.pid,
        us: monotonicUs(),
        ...rest,
      })
    try {
      await work()
    } catch (error) {
      await write({ outcome: 'failed', error: String(error) })
      throw error
    }
    await write({ outcome: 'succeeded' })
  }
}

/** Throws for cities whose coordinates cannot be. One that was deleted needs none. */
function locate({ doctype, action, data }: Envelope): void {
  if (doctype !== DOCTYPE || action === 'deleted') return
  const { name, latitude } = data as { name: string; latitude: number | null }
  if (latitude === null) throw new Error(`${name} has no coordinates`)
  if (Math.abs(latitude) > 90) throw new RangeError(`${name} lies at latitude ${latitude}`)
}
