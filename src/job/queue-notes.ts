// What the queue notes for people to hear of. Implemented by queue/note-reader, used by whoever makes events of it, which knows nothing
// of Redis.

import type { EmittedEvents } from './job-receiver.ts'

interface Noted {
  /** Of the note: its event may have an id made of it. */
  readonly id: string
  readonly queue: string
  /** By the server's clock. */
  readonly at: Date
}

/** A job died. */
export interface DeathNote extends Noted {
  readonly kind: 'dead'
  readonly jobId: string
  readonly type: string
  readonly reason: string
  /** The topic by which it came, of a subscription's job: one of the notifications themselves is better not told of. */
  readonly topic: string | undefined
}

/** The server forgot accepted jobs, as somebody found. Told again when somebody else knows of more. */
export interface LossNote extends Noted {
  readonly kind: 'loss'
  /** At least so many. They were accepted after `from`, and not later than `to`. */
  readonly lost: number
  readonly from: Date
  readonly to: Date
  /** The life of the server in which they are missing. */
  readonly boot: string
}

export type QueueNote = DeathNote | LossNote

/** Rejects with a MocaError as JobReceiver does. */
export interface NoteSource {
  /**
   * At most so many notes, oldest first, for this caller: nobody else gets them, unless a minute has passed and they are neither told of
   * nor left. Only the latest ten thousand are kept.
   */
  take(limit: number): Promise<QueueNote[]>
  /** Publishes an event that tells of a note, and forgets the note, at once. `gone`: it was told of, or left, by somebody else. */
  tell(note: QueueNote, events: EmittedEvents): Promise<'published' | 'outdated' | 'gone'>
  /** Forgets a note without a word. */
  leave(note: QueueNote): Promise<void>
}
