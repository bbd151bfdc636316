import type { ServerFacts } from '../redis/server-facts.ts'
import { type Diagnosis, note, problem } from './diagnosis.ts'

/** Whether what Redis accepted outlives it. */
export function checkPersistence({ hasAppendOnlyFile, fsync, isWritingWell }: ServerFacts): Diagnosis[] {
  if (!isWritingWell) {
    return [
      problem('Redis could not write to its disk the last time.', "Look into Redis's log; make room on its disk."),
    ]
  }
  if (!hasAppendOnlyFile) {
    return [
      problem(
        'Redis keeps no append-only file (appendonly no): a restart forgets jobs that were accepted.',
        'CONFIG SET appendonly yes, and appendonly yes in redis.conf.',
      ),
    ]
  }
  if (fsync === undefined) {
    return [note('Redis does not let this user ask for appendfsync.', 'Grant +config|get, or look at it yourself.')]
  }
  if (fsync === 'no') {
    return [
      problem(
        'Redis leaves it to the machine when to write to the disk (appendfsync no): half a minute of jobs may be lost.',
        'CONFIG SET appendfsync everysec (or always), and the same in redis.conf.',
      ),
    ]
  }
  if (fsync === 'everysec') {
    return [
      note(
        'appendfsync is everysec: when the machine of Redis dies, up to two seconds of accepted jobs are lost.',
        'Set appendfsync always where that is too much; it is slower.',
      ),
    ]
  }
  return []
}
