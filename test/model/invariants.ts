import type { Picture } from './picture.ts'
import { must } from './violation.ts'

// What must hold of the keys of a namespace at any instant, whatever happened before: nothing here knows the history.

export function checkPicture(picture: Picture): void {
  const places = placesOf(picture)
  checkPlaces(picture, places)
  checkAccounts(picture)
  checkWhere(picture)
  checkKeys(picture)
  checkPayloads(picture)
  must('no strange keys', picture.strange.length === 0, () => picture.strange.join(', '))
}

/** Every place in which a job stands. A record that nothing refers to is a place from which nobody takes it. */
export function placesOf(picture: Picture): Map<string, string[]> {
  const places = new Map<string, string[]>()
  const add = (id: string, place: string) => {
    const known = places.get(id)
    if (known) known.push(place)
    else places.set(id, [place])
  }
  for (const { id, letter, entry } of picture.entries) add(id, `${letter}:${entry}`)
  for (const id of picture.later.keys()) add(id, 'delayed')
  for (const id of picture.dead.keys()) add(id, 'dead')
  for (const [key, ids] of picture.gates) for (const id of ids) add(id, `gate of ${key}`)
  for (const id of picture.records.keys()) if (!places.has(id)) add(id, 'a record without a reference')
  return places
}

function checkPlaces(picture: Picture, places: ReadonlyMap<string, readonly string[]>): void {
  for (const [id, found] of places) {
    must('exactly one place', found.length === 1, () => `${id} stands in ${found.join(' and ')}`)
    const [place = ''] = found
    must('exactly one place', place !== 'a record without a reference', () => `${id} is ${place}`)
    const isInStream = /^[mfsat].*:\d+-\d+$/.test(place) // letter and entry; 'gate', 'delayed' and 'dead' are not so
    must('exactly one place', picture.records.has(id) !== isInStream, () => {
      return isInStream ? `${id} stands in ${place} and has a record` : `${id} is ${place} and has no record`
    })
  }
  for (const { letter, entry, id, owner, isDelivered } of picture.entries) {
    must('no entry in limbo', isDelivered === (owner !== undefined), () => {
      return isDelivered
        ? `${letter}:${entry} (job ${id}) was read, is held by nobody and will never be read again`
        : `${letter}:${entry} (job ${id}) is held by ${owner} and still unread`
    })
  }
  must('nothing pending without an entry', picture.ghosts.length === 0, () => picture.ghosts.join(', '))
}

const ENDED = ['completed', 'cancelled', 'expired', 'purged'] as const

function checkAccounts({ counters, entries, records }: Picture): void {
  const accepted = counters.get('accepted') ?? 0
  const ended = ENDED.reduce((sum, name) => sum + (counters.get(name) ?? 0), 0)
  must('accepted is accounted for', accepted === ended + entries.length + records.size, () => {
    return `accepted ${accepted}, ended ${ended}, in streams ${entries.length}, in records ${records.size}`
  })
}

function checkWhere({ entries, where }: Picture): void {
  let noted = 0
  for (const { id, letter, entry } of entries) {
    if (id === entry && letter === 'm') continue
    noted++
    must('where says where', where.get(id) === `${letter}:${entry}`, () => {
      return `${id} stands in ${letter}:${entry}, its note says ${where.get(id)}`
    })
  }
  must('where says where', noted === where.size, () => {
    const ids = new Set(entries.map(({ id }) => id))
    return `notes of jobs in no stream: ${[...where.keys()].filter((id) => !ids.has(id)).join(', ')}`
  })
}

function checkKeys({ entries, records, later, dead, slots, gates }: Picture): void {
  const holders = new Map<string, string[]>()
  const hold = (key: string | undefined, id: string) => {
    if (key !== undefined) holders.set(key, [...(holders.get(key) ?? []), id])
  }
  for (const { id, options } of entries) hold(options.k, id)
  for (const [id, { flags, options }] of records) {
    const mayHold = later.has(id) || (dead.has(id) && options.b === 1)
    if (mayHold && options.k !== undefined && slots.get(options.k) === id) hold(options.k, id)
    must('records are flagged', flags.includes('k') === (options.k !== undefined), () => `${id}: ${flags}`)
    must('records are flagged', dead.has(id) || flags !== '' || options.f === undefined, () => `${id} was attempted`)
  }
  for (const [key, ids] of holders) {
    must('one of a key at a time', ids.length === 1, () => `${ids.join(' and ')} of key ${key} are both let through`)
    must('a slot names its holder', slots.get(key) === ids[0], () => {
      return `${ids[0]} of key ${key} is let through, its slot names ${slots.get(key)}`
    })
  }
  for (const [key, id] of slots) {
    must('no key waits for nobody', holders.has(key), () => `the slot of key ${key} is held by ${id}, which is nowhere`)
  }
  for (const [key, ids] of gates) {
    must('no key waits for nobody', slots.has(key), () => `${ids.join(', ')} wait for key ${key}, which is free`)
    must('no key waits for itself', !ids.includes(slots.get(key) as string), () => `${slots.get(key)} of key ${key}`)
  }
}

function checkPayloads({ entries, records, payloads }: Picture): void {
  const kept = new Set(payloads)
  let large = 0
  for (const { id, options } of [
    ...entries,
    ...[...records].map(([id, record]) => ({ id, options: record.options })),
  ]) {
    if (options.p === undefined) continue
    large++
    must('large payloads stay with their jobs', kept.has(id), () => `the payload of ${id} is gone`)
  }
  must('large payloads stay with their jobs', large === kept.size, () => `${kept.size} payloads for ${large} jobs`)
}
