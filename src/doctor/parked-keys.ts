import type { OutboxStatus } from '../outbox/outbox-status.ts'
import { type Diagnosis, problem } from './diagnosis.ts'

/** Keys that do not go on because of one event or job that cannot be sent. */
export function checkParkedKeys({ sinks }: OutboxStatus): Diagnosis[] {
  return sinks
    .filter(({ parkedKeys }) => parkedKeys > 0)
    .map(({ sink, parkedKeys, parkedRows }) =>
      problem(
        `Sink ${sink}: ${parkedKeys} ${parkedKeys === 1 ? 'key is' : 'keys are'} parked, with ${parkedRows} rows.`,
        'moca outbox status --parked shows why; then moca outbox retry, skip or discard KEY.',
      ),
    )
}
