import type { Doctype } from '../doctype/doctype.ts'
import type { Capture } from '../outbox/capture.ts'
import { type Diagnosis, note, problem } from './diagnosis.ts'

/** Whether every change of the tables that are captured is recorded: partitions and releases that came later need their triggers. */
export async function checkCaptures(
  capture: Pick<Capture, 'show' | 'list'>,
  doctypes: readonly Doctype[],
): Promise<Diagnosis[]> {
  const installed = new Set(await capture.list())
  const found: Diagnosis[] = []
  for (const doctype of doctypes) {
    const { name } = doctype
    if (!installed.has(name)) {
      found.push(note(`Doctype ${name} is not captured: its changes are no events.`, `moca outbox capture ${name}`))
      continue
    }
    const { status, tables, elsewhere } = await capture.show(doctype)
    const wrong = tables.filter((table) => table.status !== 'current').map(({ table }) => table)
    if (status !== 'current' || wrong.length > 0 || elsewhere.length > 0) {
      const where = [...wrong, ...elsewhere].join(', ')
      found.push(
        problem(
          `The triggers of doctype ${name} are ${status === 'current' ? 'outdated' : status}${where === '' ? '' : ` (${where})`}: changes may go unrecorded.`,
          `moca outbox capture ${name}`,
        ),
      )
    }
  }
  const known = new Set(doctypes.map(({ name }) => name))
  const strange = [...installed].filter((name) => !known.has(name))
  if (strange.length > 0) {
    const fix = 'Fine where another application has them; otherwise remove their triggers.'
    found.push(note(`Captured, and in no app of this configuration: ${strange.join(', ')}.`, fix))
  }
  return found
}
