import { formatJobId } from '../job/job-id.ts'
import type { EmittedEvents } from '../job/job-receiver.ts'
import type { NoteSource, QueueNote } from '../job/queue-notes.ts'
import { pairs } from './inspector/queue-reader.ts'
import { GROUP, notesKey } from './keys.ts'
import type { NamespaceAccess } from './namespace-access.ts'
import type { Receiver } from './receiver/receiver.ts'

/** Whoever took notes and was not heard of for so long has died. */
const TAKE_OVER_MS = 60_000
/** All readers are one to the server: whoever takes over does not ask whose the notes were. */
const CONSUMER = 'notes.1'

type Entry = readonly [id: string, fields: readonly string[] | null]

export interface NoteReaderDeps {
  readonly access: NamespaceAccess
  readonly receiver: Pick<Receiver, 'publishNote'>
  /** Default: a minute. */
  readonly takeOverMs?: number
}

/** Reads what the scripts note of deaths and losses, each note for one of all processes that read. */
export class NoteReader implements NoteSource {
  readonly #deps: NoteReaderDeps
  #isGroupMade = false

  constructor(deps: NoteReaderDeps) {
    this.#deps = deps
  }

  async take(limit: number): Promise<QueueNote[]> {
    // A connection whose server knows no group is taken for one whose server forgot it.
    if (!this.#isGroupMade) await this.#makeGroup()
    try {
      return await this.#takeSome(limit)
    } catch (error) {
      if (!isWithoutGroup(error)) throw error
      await this.#makeGroup()
      return this.#takeSome(limit)
    }
  }

  tell(note: QueueNote, events: EmittedEvents): Promise<'published' | 'outdated' | 'gone'> {
    return this.#deps.receiver.publishNote(note.id, events)
  }

  async leave({ id }: QueueNote): Promise<void> {
    const { access } = this.#deps
    const key = notesKey(access.prefix)
    await access.send(['XACK', key, GROUP, id])
    await access.send(['XDEL', key, id])
  }

  async #takeSome(limit: number): Promise<QueueNote[]> {
    const { access, takeOverMs = TAKE_OVER_MS } = this.#deps
    const key = notesKey(access.prefix)
    const [, left] = await access.send<[string, Entry[]]>([
      'XAUTOCLAIM',
      key,
      GROUP,
      CONSUMER,
      String(takeOverMs),
      '0-0',
      'COUNT',
      String(limit),
    ])
    if (left.length >= limit) return left.flatMap(readNote)
    const read = await access.send<[string, Entry[]][] | null>([
      'XREADGROUP',
      'GROUP',
      GROUP,
      CONSUMER,
      'COUNT',
      String(limit - left.length),
      'STREAMS',
      key,
      '>',
    ])
    return [...left, ...(read?.[0]?.[1] ?? [])].flatMap(readNote)
  }

  async #makeGroup(): Promise<void> {
    const { access } = this.#deps
    try {
      await access.send(['XGROUP', 'CREATE', notesKey(access.prefix), GROUP, '0', 'MKSTREAM'])
    } catch (error) {
      if (!(error instanceof Error && error.message.startsWith('BUSYGROUP'))) throw error
    }
    this.#isGroupMade = true
  }
}

function isWithoutGroup(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('NOGROUP')
}

/** Nothing of an entry that is no note of this release: it stays untold, and goes with the oldest. */
function readNote([id, fields]: Entry): QueueNote[] {
  const of: Record<string, string | undefined> = Object.fromEntries(pairs(fields ?? []))
  const date = (ms: string | undefined) => new Date(Number(ms))
  const { kind, q: queue = '', at } = of
  switch (kind) {
    case 'dead':
      return [
        {
          kind,
          id,
          queue,
          at: date(at),
          jobId: formatJobId(queue, of.id ?? ''),
          type: of.t ?? '',
          reason: of.r ?? '',
          topic: of.topic || undefined,
        },
      ]
    case 'loss':
      return [
        {
          kind,
          id,
          queue,
          at: date(at),
          lost: Number(of.lost),
          from: date(of.from),
          to: date(of.to),
          boot: of.boot ?? '',
        },
      ]
    default:
      return []
  }
}
