import type { LaneStatus, OutboxStatus } from '../outbox/outbox-status.ts'
import { type Diagnosis, note, problem } from './diagnosis.ts'

/** Whether everything that was recorded is being relayed. */
export function checkLanes({ isHome, relays, sinks }: OutboxStatus): Diagnosis[] {
  if (!isHome) {
    return [
      problem(
        'The log was copied to another PostgreSQL, where transaction ids are counted anew: nothing is relayed.',
        'moca outbox rebase, when this PostgreSQL is the one to go on with.',
      ),
    ]
  }
  if (sinks.length === 0 && relays.length === 0) {
    return [note('Nobody has ever relayed this log: what is recorded waits.', 'moca outbox start')]
  }
  return sinks.flatMap(({ sink, waiting, lanes, lanesWithoutOwner }) => [
    ...(lanesWithoutOwner.length === 0
      ? []
      : [
          problem(
            `Sink ${sink}: nobody relays ${lanesWithoutOwner.length} of ${lanes.length} lanes; ${waiting} ${waiting === 1 ? 'row waits' : 'rows wait'}.`,
            'moca outbox start, as one more process or in place of one that died.',
          ),
        ]),
    ...lanes.flatMap((lane) => describeStandstill(lane)),
  ])
}

function describeStandstill({ sink, lane, standstill }: LaneStatus): Diagnosis[] {
  if (!standstill) return []
  const { reason, found, expected, since } = standstill
  return [
    problem(
      `Sink ${sink}: lane ${lane} stands still since ${since.toISOString()} (${reason}): the sink is at batch ${found}, PostgreSQL at ${expected}.`,
      reason === 'forgot'
        ? 'moca outbox redrive --since <when it was lost>: docs/operating-the-outbox.md.'
        : 'moca outbox rebase, when this PostgreSQL is the one to go on with: docs/operating-the-outbox.md.',
    ),
  ]
}
