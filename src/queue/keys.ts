/** Names of everything the queue keeps in Redis. The scripts build the same names (lua/prelude.lua). */

/** `{moca:<namespace>}:`. The braces are a hash tag: all keys of a namespace lie in one slot of a cluster. */
export function keyPrefix(namespace: string): string {
  return `{moca:${namespace}}:`
}

/** A stream of a queue: m main, f front, s suspect, a alone, t<type> the side stream of a type. */
export type StreamLetter = 'm' | 'f' | 's' | 'a' | `t${string}`

/** The streams that every queue has, in the order in which workers come to them. */
const LETTERS = ['a', 's', 'f', 'm'] as const

/** All streams of a queue with these side streams. */
export function lettersOf(sides: readonly string[]): StreamLetter[] {
  return [...LETTERS, ...sides.map((type) => `t${type}` as const)]
}

export function streamKey(prefix: string, queue: string, letter: StreamLetter): string {
  const base = `${prefix}q:${queue}`
  if (letter === 'm') return base
  if (letter === 'f') return `${base}:front`
  if (letter === 's') return `${base}:suspect`
  if (letter === 'a') return `${base}:alone`
  return `${base}:t:${letter.slice(1)}`
}

export type QueuePart = 'later' | 'dead' | 'recs' | 'where' | 'done' | 'n' | 'slots' | 'sides'

export function queueKey(prefix: string, queue: string, part: QueuePart): string {
  return `${prefix}q:${queue}:${part}`
}

export function largePayloadKey(prefix: string, queue: string, place: string): string {
  return `${prefix}p:${queue}:${place}`
}

/** Jobs that wait for their key, first in first out. */
export function gateKey(prefix: string, queue: string, key: string): string {
  return `${prefix}g:${queue}:${key}`
}

/** A channel on which a worker's timer learns that a delayed job has become the first to fall due: "<queue> <instant ms>". */
export function wakeChannel(prefix: string): string {
  return `${prefix}wake`
}

/** How far each unit of an outbox has come: unit -> position (receiver/position.ts). */
export function relayKey(prefix: string): string {
  return `${prefix}relay`
}

/** What a person should hear of: a capped stream, read by note-reader.ts. */
export function notesKey(prefix: string): string {
  return `${prefix}notes`
}

/** The consumer group of every stream of a queue, and of the notes. */
export const GROUP = 'w'
